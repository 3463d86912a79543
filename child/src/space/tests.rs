//! Properties of every space.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

/// One of each space, small enough to build many graphs.
pub(crate) fn spaces() -> Vec<Box<dyn SearchSpace>> {
    let nasbench201 = NasBench201Settings { channels: 4, cells: 2, ..Default::default() };
    let operations = ["none", "skip_connect", "conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "max_pool_3x3"];
    let zeros = NasnetSettings {
        blocks: 4,
        operations: operations.map(str::to_owned).to_vec(),
        depths: vec![1, 2],
        widths: vec![4, 8],
    };
    let nasnet = NasnetSettings { blocks: 3, ..Default::default() };
    let configs = [
        SpaceConfig::NasBench201(nasbench201),
        SpaceConfig::Nasnet(zeros),
        SpaceConfig::Nasnet(nasnet),
        SpaceConfig::Mobile(MobileSettings::default()),
        SpaceConfig::Mobile(small_images()),
    ];
    configs.iter().map(|config| config.build().unwrap()).collect()
}

/// Settings for images of about 8 × 8, which are halved twice.
fn small_images() -> MobileSettings {
    MobileSettings {
        stems: vec![8, 16],
        strides: vec![1, 2, 2],
        widths: vec![vec![8, 16], vec![16, 24], vec![24, 32]],
        kernels: vec![3, 5],
        expansions: vec![1, 3, 6],
        depths: vec![1, 2, 3],
        squeeze_excitation: vec![false, true],
        head: 64,
    }
}

/// Images that every space must accept.
pub(crate) const IMAGES: [Shape; 2] = [Shape::new(1, 8, 8), Shape::new(3, 32, 32)];

fn differences(left: &Architecture, right: &Architecture) -> usize {
    left.choices().iter().zip(right.choices()).filter(|(left, right)| left != right).count()
}

/// A plausible number for a setting, or an absurd one.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 1..=4_usize, 1 => prop::sample::select(&[0, 4096, 4097, 1 << 33, usize::MAX][..])]
}

fn lists_of(lists: Vec<Vec<usize>>) -> [Vec<usize>; 5] {
    lists.try_into().unwrap()
}

proptest! {
    #[test]
    fn texts_read_back(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for space in spaces() {
            let architecture = space.random(&mut rng);
            prop_assert_eq!(space.check(&architecture), Ok(()));
            let text = space.format(&architecture).unwrap();
            prop_assert_eq!(space.parse(&text), Ok(architecture));
        }
    }

    #[test]
    fn errors_of_truncated_texts_point_at_their_end(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for space in spaces() {
            let text = space.format(&space.random(&mut rng)).unwrap();
            for end in 0..text.len() {
                // A number cut short may be another choice, and a name cut short is an error at its beginning.
                if let Err(error) = space.parse(&text[..end]) {
                    let rest = &text[error.column - 1..end];
                    prop_assert!(rest.chars().all(|c| c.is_alphanumeric() || c == '_'), "{}", error);
                } else {
                    prop_assert!(text[..end].ends_with(|c: char| c.is_ascii_digit()));
                }
            }
        }
    }

    #[test]
    fn changed_texts_never_panic(seed: u64, at: prop::sample::Index, junk in "\\PC{0,3}") {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for space in spaces() {
            let text = space.format(&space.random(&mut rng)).unwrap();
            let (head, tail) = text.split_at(at.index(text.len()));
            for changed in [format!("{head}{junk}{tail}"), format!("{head}{junk}")] {
                match space.parse(&changed) {
                    Ok(read) => prop_assert_eq!(space.format(&read).unwrap(), changed),
                    Err(error) => prop_assert!(error.column <= changed.chars().count() + 1),
                }
            }
        }
    }

    #[test]
    fn arbitrary_texts_are_errors(text in "\\PC{0,60}") {
        for space in spaces() {
            prop_assert!(space.parse(&text).is_err());
        }
    }

    /// Settings of any numbers make a space whose texts read back and whose networks can be counted, or give an error.
    #[test]
    fn settings_of_any_numbers_give_a_space_or_an_error(
        (first, second) in (number(), number()),
        names in (prop::sample::subsequence(&["none", "skip_connect"][..], 1..=2), prop::option::weighted(0.1, "(none|x|)")),
        lists in prop::collection::vec(prop::collection::btree_set(number(), 1..4), 5),
        seed: u64, side in prop::sample::select(&[4_usize, 7, 4096][..]),
    ) {
        let names: Vec<String> = names.0.into_iter().map(str::to_owned).chain(names.1).collect();
        let lists = lists.into_iter().map(|list| list.into_iter().collect()).collect();
        let [stems, kernels, expansions, depths, strides]: [Vec<usize>; 5] = lists_of(lists);
        let configs = [
            SpaceConfig::NasBench201(NasBench201Settings { channels: first, cells: second, operations: names.clone() }),
            SpaceConfig::Nasnet(NasnetSettings { blocks: second, operations: names, depths: depths.clone(), widths: stems.clone() }),
            SpaceConfig::Mobile(MobileSettings {
                kernels: kernels.iter().map(|half| half.saturating_mul(2).saturating_sub(1)).collect(),
                widths: vec![stems.clone(); strides.len()],
                squeeze_excitation: vec![seed.is_multiple_of(2)],
                stems, expansions, depths, strides, head: first,
            }),
        ];
        for config in configs {
            match config.build() {
                Ok(space) => {
                    let architecture = space.random(&mut ChaCha8Rng::seed_from_u64(seed));
                    let text = space.format(&architecture).unwrap();
                    prop_assert_eq!(space.parse(&text), Ok(architecture.clone()));
                    let _ = space.graph(&architecture, Shape::new(3, side, side), 10).map(|graph| graph.pruned().cost());
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn mutations_change_one_decision(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for space in spaces() {
            let architecture = space.random(&mut rng);
            let mutant = space.mutate(&architecture, &mut rng);
            prop_assert_eq!(space.check(&mutant), Ok(()));
            prop_assert_eq!(differences(&architecture, &mutant), 1);
        }
    }
}

#[test]
fn draws_reach_every_choice_and_repeat_with_the_seed() {
    for space in spaces() {
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut architecture = space.random(&mut rng);
            let mut all = vec![architecture.clone()];
            for _ in 0..2_000 {
                architecture = space.mutate(&architecture, &mut rng);
                all.push(architecture.clone());
            }
            all
        };
        let all = draw(7);
        assert_eq!(all, draw(7));
        assert_ne!(all, draw(8));
        for (place, decision) in space.decisions().iter().enumerate() {
            for choice in 0..decision.choices.len() {
                assert!(all.iter().any(|a| a.choices()[place] == choice), "{}: {}", space.name(), decision.name);
            }
        }
    }
}

#[test]
fn small_images_keep_some_places() {
    let space = Mobile::new(small_images()).unwrap();
    let architecture = Architecture::new(vec![0; space.decisions().len()]);
    let graph = space.graph(&architecture, Shape::new(1, 8, 8), 10).unwrap();
    let pooled = graph.layers[graph.output().0 - 1].inputs[0];
    assert_eq!(graph.layer(pooled).shape, Shape::new(64, 2, 2));
}

#[test]
fn names_of_decisions_are_unique() {
    for space in spaces() {
        let mut names: Vec<_> = space.decisions().iter().map(|decision| &decision.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), space.decisions().len());
    }
}

#[test]
fn architectures_of_other_spaces_are_errors() {
    for space in spaces() {
        let decisions = space.decisions().len();
        let short = Architecture::new(vec![0; decisions - 1]);
        let length = format!("has {} choices, but the space has {decisions} decisions", decisions - 1);
        let mut beyond = vec![0; decisions];
        beyond[1] = 99;
        let beyond = Architecture::new(beyond);
        for (architecture, message) in [(&short, length.as_str()), (&beyond, "a choice number 99 does not exist")] {
            let errors =
                [space.format(architecture).unwrap_err(), space.graph(architecture, IMAGES[0], 10).unwrap_err()];
            assert!(errors.iter().all(|error| error.to_string().contains(message)), "{errors:?}");
        }
    }
}
