//! Pooling over windows.

use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};

use crate::graph::{Pool, PoolKind};

/// Pools `[batch, channels, height, width]`.
pub(super) fn pool(x: Tensor<4>, pool: &Pool) -> Tensor<4> {
    let [kernel, stride, padding] = [pool.kernel, pool.stride, pool.padding].map(|n| [n, n]);
    match pool.kind {
        PoolKind::Max => max_pool2d(x, MaxPoolOptions::new(kernel).with_stride(stride).with_padding(padding)),
        PoolKind::Average if products_are_faster(&x) => average_by_products(x, pool),
        PoolKind::Average => avg_pool2d(
            x,
            AvgPoolOptions::new(kernel).with_stride(stride).with_padding(padding).with_count_include_pad(false),
        ),
    }
}

/// Longest side of an image for which a dense product is still less work than visiting every window.
const LONGEST_SIDE: usize = 64;

/// Whether the pooling of the device is slower than two matrix products. On burn's CPU backend it is: pooling visits
/// windows place by place, while products use the full width of the processor.
fn products_are_faster(x: &Tensor<4>) -> bool {
    let [.., height, width] = x.dims();
    height.max(width) <= LONGEST_SIDE && is_flex(&x.device())
}

fn is_flex(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

/// Average pooling as `R · X · Cᵀ` for each map `X`: a mean over a rectangle is a mean over rows of means over columns,
/// and so is its number of places inside the image.
fn average_by_products(x: Tensor<4>, pool: &Pool) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let device = x.device();
    let (rows, columns) = (means(height, pool, &device), means(width, pool, &device));
    let [out_height, out_width] = [rows.dims()[0], columns.dims()[0]];
    let narrow = x.reshape([batch * channels * height, width]).matmul(columns.transpose());
    let maps = narrow.reshape([batch * channels, height, out_width]);
    rows.unsqueeze::<3>().matmul(maps).reshape([batch, channels, out_height, out_width])
}

/// The matrix `[windows, size]` whose product with a line of `size` places gives the mean of each window.
fn means(size: usize, pool: &Pool, device: &Device) -> Tensor<2> {
    let windows = (size + 2 * pool.padding - pool.kernel) / pool.stride + 1;
    let mut matrix = vec![0.0; windows * size];
    for (window, row) in matrix.chunks_mut(size).enumerate() {
        let start = window * pool.stride;
        let inside = start.saturating_sub(pool.padding)..(start + pool.kernel - pool.padding).min(size);
        let weight = 1.0 / inside.len() as f32;
        row[inside].fill(weight);
    }
    Tensor::from_data(TensorData::new(matrix, [windows, size]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn products_give_the_same_means_and_gradients_as_visiting_windows() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let device = Device::flex().autodiff();
        for (kernel, stride, padding, height, width) in
            [(3, 1, 1, 8, 8), (3, 2, 1, 7, 5), (2, 2, 0, 6, 4), (5, 1, 2, 5, 9), (3, 2, 1, 4, 4), (3, 1, 0, 3, 4)]
        {
            let spec = Pool { kind: PoolKind::Average, kernel, stride, padding };
            let mut random = |shape: [usize; 4]| {
                let data: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
                Tensor::<4>::from_data(TensorData::new(data, shape), &device)
            };
            let x = random([2, 3, height, width]).require_grad();
            let by_products = average_by_products(x.clone(), &spec);
            let options = AvgPoolOptions::new([kernel; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
            let by_windows = avg_pool2d(x.clone(), options.with_count_include_pad(false));
            assert_eq!(by_products.dims(), by_windows.dims());
            let weights = random(by_products.dims());
            let [ours, theirs] = [by_products, by_windows].map(|pooled| {
                let gradient = x.grad(&(pooled.clone() * weights.clone()).sum().backward()).unwrap();
                [values(pooled), values(gradient)]
            });
            for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
                assert!((a - b).abs() < 1e-5, "{spec:?}: {a} and {b}");
            }
        }
    }
}
