//! What every engine does.

use crate::data::Batch;
use crate::network::Network;

/// Trains and evaluates one network, whose weights it holds in its own form.
pub(crate) trait Engine {
    /// What computes, for a journal: the backend, and the vector instructions or the device on which its bits depend.
    fn name(&self) -> String;

    /// Whether it makes the values of images itself, so that batches need not hold them.
    fn takes_bytes(&self) -> bool {
        false
    }

    /// A step of stochastic gradient descent with Nesterov momentum (Sutskever et al. 2013, in PyTorch's form).
    fn step(&mut self, step: &Step);

    /// The sum of the steps' losses since the last call, each the mean over its batch; not finite where the training has
    /// diverged. Fetched rarely, since a GPU has to be waited for.
    fn take_loss(&mut self) -> f64;

    /// Logits of a batch in evaluation mode, `[batch, classes]`: batch norms use their running statistics.
    fn logits(&mut self, batch: &Batch) -> Vec<f32>;

    /// The network with its weights as they are now.
    fn network(&mut self) -> Network;

    /// The momentum of the weights to the last bit, in the engine's own form. `None` where the engine cannot give it: a
    /// training is not saved then, and one that was broken off begins from its start.
    fn momentum(&self) -> Option<Vec<u8>>;

    /// Sets the momentum to one that an engine of the same name gave for the same graph. `false`, and no change, if it
    /// has another form.
    fn set_momentum(&mut self, momentum: &[u8]) -> bool;
}

/// One step of training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) learning_rate: f64,
    /// Factors of drop-path: for each droppable layer, in the order of the layers, one for each image. Empty where no
    /// path is left out.
    pub(crate) path_factors: &'a [Vec<f32>],
}
