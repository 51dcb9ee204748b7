use super::*;
use crate::interface::Instant;
use crate::node::HardwareFeatures;
use crate::rack::TestRack;
use farrier_protocol::message::Mac;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;

/// Numbers of a machine: traits, class, parts, memory, processors, disk, link.
type Shape = (u32, u8, u8, u32, u16, u32, u16);

/// All of them small, so that machines are often alike in some and not in
/// others.
fn shapes(bits: u32) -> impl Strategy<Value = Shape> {
    let parts = bits as u8;
    (
        0..bits,
        0u8..2,
        0..parts,
        0u32..2,
        0u16..2,
        0u32..2,
        0u16..2,
    )
}

fn need((traits, class, parts, memory_mib, cpus, local_gib, link): Shape) -> Requirements {
    Requirements {
        memory_mib,
        local_gib,
        traits,
        cpus,
        link,
        class,
        parts: HardwareFeatures::from_bits_retain(parts),
    }
}

fn id(number: usize) -> NodeId {
    NodeId([number as u8 + 1; 16])
}

/// A node that is free, of that shape.
fn node(number: usize, shape: Shape) -> Node {
    let mut node = Node::discovered(id(number), Mac([number as u8; 6]), Instant::START);
    let has = need(shape);
    node.state = ProvisionState::Available;
    node.name = (*std::format!("node-{number}")).try_into().unwrap();
    (node.traits, node.class) = (has.traits, has.class);
    node.hardware = Hardware {
        cpus: has.cpus,
        memory_mib: has.memory_mib,
        local_gib: has.local_gib,
        link: has.link,
        parts: has.parts,
        ..Hardware::default()
    };
    node
}

fn rack(shapes: &[Shape]) -> std::boxed::Box<TestRack> {
    let mut rack = std::boxed::Box::new(TestRack::new());
    for (number, shape) in shapes.iter().enumerate() {
        rack.nodes.push(node(number, *shape)).unwrap();
    }
    rack
}

fn claim<'a>(number: usize, class: &'a str) -> Allocate<'a> {
    Allocate {
        id: id(100 + number),
        name: "",
        class,
        node: None,
        account: "",
        lists: KeyValues::default(),
    }
}

/// A list in the form in which requests come.
fn list(key: &str, values: &[&str]) -> String {
    values
        .iter()
        .map(|value| std::format!("{key}\0{value}\0"))
        .collect()
}

fn ones(mut bits: u32) -> u32 {
    let mut count = 0;
    while bits != 0 {
        count += bits % 2;
        bits /= 2;
    }
    count
}

/// The place of the node that fits best, found by looking at one property
/// after the other.
fn best(shapes: &[Shape], taken: &[bool], asks: Shape) -> Option<usize> {
    let fits = |has: &Shape| {
        (asks.1 == 0 || asks.1 == has.1)
            && (0..3).all(|bit| asks.0 >> bit & 1 <= has.0 >> bit & 1)
            && (0..3).all(|bit| asks.2 >> bit & 1 <= has.2 >> bit & 1)
            && has.3 >= asks.3
            && has.4 >= asks.4
            && has.5 >= asks.5
            && has.6 >= asks.6
    };
    let mut left: Vec<usize> = (0..shapes.len())
        .filter(|n| !taken[*n] && fits(&shapes[*n]))
        .collect();
    let extra: [fn(&Shape, &Shape) -> u32; 6] = [
        |has, asks| ones(has.0) - ones(asks.0),
        |has, asks| ones(has.2.into()) - ones(asks.2.into()),
        |has, _| has.3,
        |has, _| has.4.into(),
        |has, _| has.5,
        |has, _| has.6.into(),
    ];
    for extra in extra {
        let least = left.iter().map(|n| extra(&shapes[*n], &asks)).min()?;
        left.retain(|n| extra(&shapes[*n], &asks) == least);
    }
    left.first().copied()
}

proptest! {
    /// The node that fits best, every time, until none is left.
    #[test]
    fn the_best_that_fits_and_nobody_twice(
        shapes in proptest::collection::vec(shapes(8), 1..8),
        asks in shapes(2),
    ) {
        let mut rack = rack(&shapes);
        let mut out = std::boxed::Box::new(Effects::new());
        rack.flavors.push(Flavor { place: 0, need: need(asks) }).unwrap();
        rack.texts.set(usize::from(RACK), Kind::Flavor(0), "f").unwrap();
        let mut taken = std::vec![false; shapes.len()];
        for number in 0..=shapes.len() {
            out.clear();
            let got = rack.allocate(&claim(number, "f"));
            let expected = best(&shapes, &taken, asks);
            prop_assert_eq!(got.is_ok(), expected.is_some());
            let Some(place) = expected else {
                prop_assert_eq!(got, Err(CommandError::NoMatchingNode));
                break;
            };
            taken[place] = true;
            let node = &rack.nodes[place];
            prop_assert_eq!(node.instance.instance_uuid, Some(id(100 + number)));
            prop_assert!(node.flags.contains(Flags::ALLOCATED));
            out.clear();
            rack.write_touched(&mut out);
            prop_assert!(out.records().count() >= 2, "instance and flags");
        }
        let allocated = rack.nodes.iter().filter(|n| n.flags.contains(Flags::ALLOCATED)).count();
        prop_assert_eq!(allocated, taken.iter().filter(|taken| **taken).count());
    }
}

#[test]
fn only_what_is_free_is_given_away() {
    let plain: Shape = (0, 0, 0, 1, 1, 1, 1);
    let spoil: [fn(&mut Node); 5] = [
        |node| node.state = ProvisionState::Manageable,
        |node| node.flags.set(Flags::MAINTENANCE, true),
        |node| node.flags.set(Flags::RETIRED, true),
        |node| node.flags.set(Flags::ALLOCATED, true),
        |node| node.instance.instance_uuid = Some(id(50)),
    ];
    for spoil in spoil {
        let mut rack = rack(&[plain, plain]);
        rack.texts
            .set(usize::from(RACK), Kind::Trait(0), "c")
            .unwrap();
        rack.nodes.iter_mut().for_each(|node| node.class = 1);
        spoil(&mut rack.nodes[0]);
        assert_eq!(rack.allocate(&claim(0, "c")), Ok(()));
        assert_eq!(rack.nodes[1].instance.instance_uuid, Some(id(100)));
        assert_eq!(
            rack.allocate(&claim(1, "c")),
            Err(CommandError::NoMatchingNode)
        );
    }
}

#[test]
fn what_makes_a_machine_rare_is_kept_for_who_needs_it() {
    // The smaller machine has a trait more, the other one a part more than
    // the third.
    let shapes = [
        (3, 1, 0, 1, 1, 1, 1),
        (1, 1, 1, 2, 2, 2, 2),
        (1, 1, 0, 9, 9, 9, 9),
    ];
    let mut rack = rack(&shapes);
    for (place, word) in ["one", "two"].into_iter().enumerate() {
        let kind = Kind::Trait(place as u8);
        rack.texts.set(usize::from(RACK), kind, word).unwrap();
    }
    let traits = list("traits", &["one"]);
    for (number, best) in [2, 1, 0].into_iter().enumerate() {
        let request = Allocate {
            lists: KeyValues(&traits),
            ..claim(number, "one")
        };
        assert_eq!(rack.allocate(&request), Ok(()));
        assert_eq!(
            rack.nodes[best].instance.instance_uuid,
            Some(id(100 + number))
        );
    }
}

#[test]
fn candidates_names_and_classes() {
    let plain: Shape = (0, 1, 0, 1, 1, 1, 1);
    let mut rack = rack(&[plain, plain, plain, (0, 2, 0, 9, 9, 9, 9)]);
    let words = ["one", "two", "GPU"];
    for (place, word) in words.into_iter().enumerate() {
        rack.texts
            .set(usize::from(RACK), Kind::Trait(place as u8), word)
            .unwrap();
    }
    let by_name = list("candidate_nodes", &["nobody", "node-2"]);
    let request = Allocate {
        lists: KeyValues(&by_name),
        name: "mine",
        ..claim(0, "one")
    };
    assert_eq!(rack.allocate(&request), Ok(()));
    assert_eq!(rack.nodes[2].instance.instance_uuid, Some(id(100)));
    assert_eq!(rack.texts.get(2, Kind::AllocationName), "mine");
    assert_eq!(rack.texts.get(2, Kind::AllocationClass), "one");

    let again = Allocate {
        name: "mine",
        ..claim(1, "one")
    };
    assert_eq!(rack.allocate(&again), Err(CommandError::NameTaken));
    assert_eq!(rack.allocate(&claim(0, "one")), Err(CommandError::IdTaken));
    let as_a_node = Allocate {
        id: id(1),
        ..claim(1, "one")
    };
    assert_eq!(rack.allocate(&as_a_node), Err(CommandError::IdTaken));
    let long = [b'x'; NAME_LEN + 1];
    for (length, expected) in [
        (NAME_LEN + 1, Err(CommandError::TooLong)),
        (NAME_LEN, Err(CommandError::NoMatchingNode)),
    ] {
        let named = Allocate {
            name: core::str::from_utf8(&long[..length]).unwrap(),
            ..claim(1, "three")
        };
        assert_eq!(rack.allocate(&named), expected);
    }

    let by_uuid = list("candidate_nodes", &["02020202-0202-0202-0202-020202020202"]);
    let request = Allocate {
        lists: KeyValues(&by_uuid),
        ..claim(1, "one")
    };
    assert_eq!(rack.allocate(&request), Ok(()));
    assert_eq!(rack.nodes[1].instance.instance_uuid, Some(id(101)));

    // A trait that is there in name only, and one that is nowhere.
    for word in ["GPU", "FPGA"] {
        let traits = list("traits", &[word]);
        let request = Allocate {
            lists: KeyValues(&traits),
            ..claim(2, "one")
        };
        assert_eq!(rack.allocate(&request), Err(CommandError::NoMatchingNode));
    }
    rack.nodes[0].traits = 1 << 2;
    let traits = list("traits", &["GPU"]);
    let request = Allocate {
        lists: KeyValues(&traits),
        ..claim(2, "one")
    };
    assert_eq!(rack.allocate(&request), Ok(()));
    assert_eq!(rack.nodes[0].wanted, 1 << 2);

    // Of no class: only where the node is named.
    assert_eq!(
        rack.allocate(&claim(3, "")),
        Err(CommandError::NoMatchingNode)
    );
    let that_one = Allocate {
        node: Some(id(3)),
        ..claim(3, "")
    };
    let nobody = Allocate {
        node: Some(id(7)),
        ..that_one
    };
    assert_eq!(rack.allocate(&nobody), Err(CommandError::NoMatchingNode));
    let of_class = Allocate {
        class: "three",
        ..that_one
    };
    assert_eq!(rack.allocate(&of_class), Err(CommandError::NoMatchingNode));
    assert_eq!(rack.allocate(&that_one), Ok(()));
    assert_eq!(rack.nodes[3].instance.instance_uuid, Some(id(103)));
}

#[test]
fn flavors_are_defined_redefined_and_forgotten() {
    let mut rack = rack(&[(0, 0, 0, 1, 1, 1, 1)]);
    let plain = need((0, 0, 0, 4, 3, 2, 1));
    let traits = list("traits", &["GPU", "FPGA"]);
    let mut out = Effects::new();
    let set = |rack: &mut TestRack, out: &mut Effects, name: &str, class, lists| {
        out.clear();
        rack.set_flavor(name, plain, class, lists, out)
    };
    assert_eq!(
        set(&mut rack, &mut out, "big", "metal", KeyValues(&traits)),
        Ok(())
    );
    let word = |rack: &TestRack, word| rack.texts.find_trait(word).unwrap();
    let (metal, gpu, fpga) = (
        word(&rack, "metal"),
        word(&rack, "GPU"),
        word(&rack, "FPGA"),
    );
    assert_eq!(
        rack.flavors[0].need,
        Requirements {
            class: metal + 1,
            traits: 1 << gpu | 1 << fpga,
            ..plain
        }
    );
    assert!(rack.flavors[0].need.uses(metal) && rack.flavors[0].need.uses(gpu));
    assert!(!rack.flavors[0].need.uses(31));
    // A flavor may be called as a node is.
    assert_eq!(
        set(&mut rack, &mut out, "node-0", "", KeyValues::default()),
        Ok(())
    );
    assert_eq!(rack.flavors.len(), 2);
    assert_eq!(
        set(&mut rack, &mut out, "big", "", KeyValues::default()),
        Ok(())
    );
    assert_eq!(rack.flavors.len(), 2);
    let names: Vec<String> = rack
        .flavors
        .iter()
        .map(|flavor| flavor.name(&rack.texts).to_string())
        .collect();
    assert!(names.contains(&"big".to_string()) && names.contains(&"node-0".to_string()));
    assert!(rack.flavors.iter().all(|flavor| flavor.need == plain));
    assert_eq!(
        rack.texts.find_trait("metal"),
        None,
        "nobody uses it any more"
    );

    let long = [b'x'; NAME_LEN + 1];
    for (length, fits) in [(0, false), (NAME_LEN, true), (NAME_LEN + 1, false)] {
        let name = core::str::from_utf8(&long[..length]).unwrap();
        let done = set(&mut rack, &mut out, name, "", KeyValues::default());
        assert_eq!(done.is_ok(), fits, "{length}");
    }
    assert_eq!(
        rack.remove_flavor("small", &mut out),
        Err(CommandError::NoSuchFlavor)
    );
    assert_eq!(rack.remove_flavor("big", &mut out), Ok(()));
    assert!(rack.flavors.iter().all(|f| f.name(&rack.texts) != "big"));
    assert_eq!(rack.flavors.len(), 2);
}

#[test]
fn a_class_without_a_flavor_is_a_wish_too() {
    let plain: Shape = (0, 0, 0, 1, 1, 1, 1);
    let mut rack = rack(&[plain, plain]);
    for (place, word) in ["one", "two"].into_iter().enumerate() {
        rack.texts
            .set(usize::from(RACK), Kind::Trait(place as u8), word)
            .unwrap();
        rack.nodes[place].class = place as u8 + 1;
    }
    assert_eq!(rack.allocate(&claim(0, "two")), Ok(()));
    assert_eq!(rack.nodes[1].instance.instance_uuid, Some(id(100)));
}

#[test]
fn texts_of_an_allocation_need_their_room() {
    let plain: Shape = (0, 1, 0, 1, 1, 1, 1);
    for (spare, expected) in [(0, Ok(())), (1, Err(CommandError::StringsFull))] {
        let mut rack = rack(&[plain]);
        rack.texts
            .set(usize::from(RACK), Kind::Trait(0), "one")
            .unwrap();
        let room = StringPool::cost("mine".len()) + StringPool::cost("one".len());
        crate::strings::tests::fill(&mut rack.texts, 1, room - spare);
        let request = Allocate {
            name: "mine",
            ..claim(0, "one")
        };
        assert_eq!(rack.allocate(&request), expected);
        assert_eq!(
            rack.nodes[0].flags.contains(Flags::ALLOCATED),
            expected.is_ok(),
            "a refusal changes nothing"
        );
    }
}

#[test]
fn a_node_in_use_is_claimed_by_who_names_it() {
    let mut out = Effects::new();
    let plain: Shape = (0, 1, 0, 1, 1, 1, 1);
    let mut rack = rack(&[plain, plain]);
    let kind = Kind::Trait(0);
    rack.texts.set(usize::from(RACK), kind, "one").unwrap();
    rack.nodes[0].state = ProvisionState::Active;
    rack.nodes[1].state = ProvisionState::Manageable;
    let named = |number: usize, node: usize| Allocate {
        node: Some(id(node)),
        ..claim(number, "")
    };
    let refused = Err(CommandError::NoMatchingNode);
    // Nobody gets it who does not name it, and only a node in use is got so.
    assert_eq!(rack.allocate(&claim(0, "one")), refused);
    assert_eq!(rack.allocate(&named(0, 1)), refused);
    // It is that instance's.
    rack.nodes[0].instance.instance_uuid = Some(id(100));
    assert_eq!(rack.allocate(&named(1, 0)), refused);
    let other_class = Allocate {
        class: "two",
        ..named(0, 0)
    };
    assert_eq!(rack.allocate(&other_class), refused);
    assert_eq!(
        rack.allocate(&named(0, 1)),
        Err(CommandError::IdTaken),
        "another node has it"
    );
    let of_class = Allocate {
        class: "one",
        ..named(0, 0)
    };
    assert_eq!(rack.allocate(&of_class), Ok(()));
    assert_eq!(rack.nodes[0].instance.instance_uuid, Some(id(100)));
    assert!(rack.nodes[0].flags.contains(Flags::ALLOCATED));
    // Once is enough, and it is given back with the node only.
    assert_eq!(rack.allocate(&named(0, 0)), refused);
    let back = rack.deallocate(id(100), &mut out);
    assert_eq!(back, Err(CommandError::InUse(ProvisionState::Active)));
    rack.nodes[0].state = ProvisionState::Manageable;
    assert_eq!(rack.deallocate(id(100), &mut out), Ok(()));
    // Without an instance any allocation may have it.
    rack.nodes[0].state = ProvisionState::Active;
    assert_eq!(rack.allocate(&named(3, 0)), Ok(()));
    assert_eq!(rack.nodes[0].instance.instance_uuid, Some(id(103)));
}
