//! Labels above a chart, each with a line down to what it speaks of.
//!
//! Labels that are too close for one line of text go to different lanes. A line down may not run through a label of a
//! lower lane. What finds no room stays without a label, and the caller says how many did.

/// A label that wants a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Where its line comes down.
    pub x: f64,
    /// How wide the label is.
    pub width: f64,
    /// Whether it gets its place before the others.
    pub first: bool,
}

/// Where a label stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    /// 0 is the lane next to the chart.
    pub lane: usize,
    /// The label's left edge.
    pub left: f64,
    x: f64,
    right: f64,
}

/// The white between two labels of a lane.
const BETWEEN: f64 = 8.0;
/// The white between a label and the line of another.
const BESIDE: f64 = 3.0;

impl Slot {
    fn is_in_the_way_of(&self, other: &Slot) -> bool {
        let over = |line: &Slot, label: &Slot| {
            line.lane > label.lane && line.x > label.left - BESIDE && line.x < label.right + BESIDE
        };
        let beside = self.lane == other.lane && self.left < other.right + BETWEEN && other.left < self.right + BETWEEN;
        beside || over(self, other) || over(other, self)
    }
}

/// The room for labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub left: f64,
    pub right: f64,
    pub lanes: usize,
}

/// With more labels than these, none is moved to make room for another: it would take long, and help little.
const FEW: usize = 16;

/// Finds a place for each wish. Of several ways to lay the labels out, the one that leaves fewest without a place wins,
/// then the one with fewest lanes.
pub(super) fn place(wishes: &[Wish], room: Room) -> Vec<Option<Slot>> {
    let sorted = |from_left: bool| {
        let along = |at: usize| if from_left { wishes[at].x } else { -wishes[at].x };
        let mut order: Vec<usize> = (0..wishes.len()).collect();
        order.sort_by(|&a, &b| wishes[b].first.cmp(&wishes[a].first).then(along(a).total_cmp(&along(b))));
        order
    };
    let orders = [sorted(true), sorted(false)];
    let ways = orders.iter().flat_map(|order| [true, false].map(|to_right| (order, to_right)));
    let laid = ways.map(|(order, to_right)| {
        let mut slots: Vec<Option<Slot>> = vec![None; wishes.len()];
        for &at in order {
            slots[at] = candidates(wishes[at], room, to_right).find(|slot| is_free(slot, &slots));
        }
        if wishes.len() <= FEW {
            for &at in order {
                make_room(at, wishes, &mut slots, room);
            }
        }
        slots
    });
    laid.min_by_key(|slots| (slots.iter().filter(|slot| slot.is_none()).count(), used(slots))).unwrap_or_default()
}

/// Where a label could stand, from the lowest lane up; it hangs to the right of its line first, or to the left.
fn candidates(wish: Wish, room: Room, to_right: bool) -> impl Iterator<Item = Slot> {
    let overhang = 4.0;
    (0..room.lanes)
        .flat_map(move |lane| {
            [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| {
                let to_left = if to_right { part } else { 1.0 - part };
                let start = wish.x - overhang - to_left * (wish.width - 2.0 * overhang);
                let left = start.min(room.right - wish.width).max(room.left);
                Slot { lane, left, x: wish.x, right: left + wish.width }
            })
        })
        .filter(move |slot| slot.right <= room.right + 0.01)
}

fn is_free(slot: &Slot, placed: &[Option<Slot>]) -> bool {
    placed.iter().flatten().all(|other| !slot.is_in_the_way_of(other))
}

/// Gives a label without a place the place of another, if that one finds a new one.
fn make_room(at: usize, wishes: &[Wish], slots: &mut [Option<Slot>], room: Room) {
    for other in 0..slots.len() {
        if slots[at].is_some() {
            return;
        }
        let Some(old) = slots[other].take() else { continue };
        for slot in candidates(wishes[at], room, true) {
            if !is_free(&slot, slots) {
                continue;
            }
            slots[at] = Some(slot);
            slots[other] = candidates(wishes[other], room, true).find(|moved| is_free(moved, slots));
            if slots[other].is_some() {
                return;
            }
            slots[at] = None;
        }
        slots[other] = Some(old);
    }
}

/// How many lanes are in use.
pub(super) fn used(slots: &[Option<Slot>]) -> usize {
    slots.iter().flatten().map(|slot| slot.lane + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room { left: 0.0, right: 400.0, lanes: 3 };

    #[test]
    fn labels_with_room_share_a_lane_and_close_ones_do_not() {
        let wish = |x| Wish { x, width: 60.0, first: false };
        let apart = place(&[wish(50.0), wish(200.0)], ROOM);
        assert_eq!(used(&apart), 1);
        let close = place(&[wish(50.0), wish(70.0)], ROOM);
        assert!(close.iter().all(Option::is_some) && used(&close) == 2, "{close:?}");
        let crowd = place(&[wish(50.0); 9], ROOM);
        assert!(crowd.iter().any(Option::is_none), "nine labels of one place do not fit into three lanes");
        assert!(place(&[Wish { x: 10.0, width: 900.0, first: false }], ROOM)[0].is_none());
    }

    #[test]
    fn what_matters_most_has_its_label_in_any_crowd() {
        let wishes: Vec<Wish> =
            (0..80).map(|at| Wish { x: 5.0 * f64::from(at), width: 80.0, first: at == 40 }).collect();
        assert!(place(&wishes, ROOM)[40].is_some());
    }

    proptest! {
        #[test]
        fn no_label_covers_another_or_is_crossed_by_a_line(
            wishes in prop::collection::vec((0.0..400.0f64, 10.0..150.0f64, any::<bool>()), 0..30),
        ) {
            let wishes: Vec<Wish> = wishes.into_iter().map(|(x, width, first)| Wish { x, width, first }).collect();
            let slots: Vec<Slot> = place(&wishes, ROOM).into_iter().flatten().collect();
            for (at, one) in slots.iter().enumerate() {
                prop_assert!(one.left >= 0.0 && one.right <= 400.01);
                for other in &slots[at + 1..] {
                    let apart = one.right <= other.left || other.right <= one.left;
                    prop_assert!(one.lane != other.lane || apart);
                    let (high, low) = if one.lane > other.lane { (one, other) } else { (other, one) };
                    prop_assert!(high.lane == low.lane || high.x <= low.left || high.x >= low.right);
                }
            }
        }
    }
}
