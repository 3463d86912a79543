//! Which maps share memory.

use std::collections::HashMap;

use super::kernels::norm::Then;
use super::map::Map;
use super::program::{Instruction, Kind, Place, Plan};

/// Gives every buffer of a plan a slot of an image's memory. Two buffers share one if one is last used before the other
/// is first written, and if their maps are alike: so the border of a slot stays zero.
///
/// Fixes as well what depends on the order of the instructions: which of them writes a buffer first, and so does not add.
pub(super) fn assign(plan: &mut Plan) {
    write_first(plan);
    let mut uses: HashMap<usize, (Map, usize, usize)> = HashMap::new();
    for (at, instruction) in instructions(plan).enumerate() {
        for place in instruction.reads.iter().chain(&instruction.writes) {
            uses.entry(place.slot).or_insert((place.map, at, at)).2 = at;
        }
    }
    // The logits are read from outside.
    let end = instructions(plan).count();
    uses.entry(plan.logits.slot).or_insert((plan.logits.map, end, end)).2 = end;
    let mut buffers: Vec<_> = uses.into_iter().map(|(buffer, (map, first, last))| (first, last, buffer, map)).collect();
    buffers.sort_unstable_by_key(|(first, _, buffer, _)| (*first, *buffer));
    // Each slot with its map, and the last use of it so far.
    let mut slots: Vec<(Map, usize)> = Vec::new();
    let mut slot_of = HashMap::new();
    for (first, last, buffer, map) in buffers {
        let free = slots.iter().position(|(other, until)| *other == map && *until < first);
        let slot = free.unwrap_or(slots.len());
        match free {
            Some(slot) => slots[slot].1 = last,
            None => slots.push((map, last)),
        }
        slot_of.insert(buffer, slot);
    }
    let rename = |place: &mut Place| place.slot = slot_of[&place.slot];
    for instruction in plan.stages.iter_mut().flat_map(|stage| &mut stage.instructions) {
        instruction.reads.iter_mut().chain(&mut instruction.writes).for_each(rename);
    }
    rename(&mut plan.logits);
    plan.slots = slots.into_iter().map(|(map, _)| map.len()).collect();
}

fn instructions(plan: &Plan) -> impl Iterator<Item = &Instruction> {
    plan.stages.iter().flat_map(|stage| &stage.instructions)
}

/// Marks those that add to a buffer which another has written.
fn write_first(plan: &mut Plan) {
    let mut written = std::collections::HashSet::new();
    for stage in &mut plan.stages {
        let mut ordered = Vec::with_capacity(stage.instructions.len());
        for mut instruction in std::mem::take(&mut stage.instructions) {
            if let Some(to) = instruction.writes {
                instruction.add = !written.insert(to.slot);
                let covers_all = !matches!(instruction.kind, Kind::PoolBackward(_));
                if !instruction.add && !covers_all {
                    let clear = Instruction { kind: Kind::Clear, reads: Vec::new(), writes: Some(to), add: false };
                    ordered.push(clear);
                    instruction.add = true;
                }
                // The channels of a concatenation are written one after the other.
                if let Kind::Channels { from: 0, .. } = instruction.kind
                    && instruction.reads[0].map.channels < to.map.channels
                {
                    instruction.add = false;
                }
                if let Kind::Normalise { then: then @ Then::Add, .. } = &mut instruction.kind
                    && !instruction.add
                {
                    *then = Then::Write;
                }
            }
            ordered.push(instruction);
        }
        stage.instructions = ordered;
    }
}
