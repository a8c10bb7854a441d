//! Bounds the memory that the bodies of answers take, from when they come until they have been read.
//!
//! Large bodies are read one after the other. While one is read, others wait, and those of ten
//! thousand targets would wait with all their bytes. So the bodies of one receiver have a room
//! together. A body for which there is no room fails its request, and doesn't wait for others to go:
//! two that each hold half of the room would wait for each other.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes that the bodies of one receiver take at a time: those of ten thousand ordinary
/// targets whose polls are spread over an interval, several times over. A body that is alone may be
/// longer, up to its own limit.
pub(super) const MOST: usize = 64 << 20;

/// The room for the bodies of answers. Cheap to clone; clones are the same room.
#[derive(Debug, Clone)]
pub struct BodyRoom {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// The body of an answer. It has its place in the room until it is dropped.
#[derive(Default)]
pub struct PageBody {
    bytes: Vec<u8>,
    place: Option<BodyPlace>,
}

/// What one body takes of a room.
pub(super) struct BodyPlace {
    room: BodyRoom,
    taken: usize,
}

/// There is no room for a body beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom {
    pub(super) most: usize,
}

impl BodyRoom {
    pub(super) fn new(most: usize) -> Self {
        Self {
            taken: Arc::default(),
            most,
        }
    }

    /// A place that takes nothing yet.
    pub(super) fn place(&self) -> BodyPlace {
        BodyPlace {
            room: self.clone(),
            taken: 0,
        }
    }
}

impl Default for BodyRoom {
    /// Room for 64 MiB.
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl BodyPlace {
    /// Takes so many bytes in all.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let more = bytes.saturating_sub(self.taken);
        if more == 0 {
            return Ok(());
        }
        let (own, most) = (self.taken, self.room.most);
        let taken = |all: usize| {
            let is_alone = all == own;
            (is_alone || all + more <= most).then_some(all + more)
        };
        let relaxed = Ordering::Relaxed;
        let grown = self.room.taken.fetch_update(relaxed, relaxed, taken);
        grown.map_err(|_| NoRoom { most })?;
        self.taken = bytes;
        Ok(())
    }
}

impl Drop for BodyPlace {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

impl PageBody {
    pub(super) fn new(bytes: Vec<u8>, place: BodyPlace) -> Self {
        Self {
            bytes,
            place: Some(place),
        }
    }
}

impl From<Vec<u8>> for PageBody {
    /// A body that takes no room.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, place: None }
    }
}

impl Deref for PageBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for PageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_place = self.place.is_some();
        write!(f, "PageBody({} bytes, has_place: {has_place})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_take_no_more_than_their_room_but_for_one_that_is_alone() {
        let room = BodyRoom::new(100);
        let (mut one, mut two) = (room.place(), room.place());
        one.grow_to(60).unwrap();
        two.grow_to(40).unwrap();
        assert_eq!(two.grow_to(41), Err(NoRoom { most: 100 }));
        assert_eq!(one.grow_to(61), Err(NoRoom { most: 100 }), "nobody waits");
        drop(PageBody::new(vec![0; 40], two));
        one.grow_to(1000).unwrap();
        let mut three = room.place();
        assert_eq!(three.grow_to(1), Err(NoRoom { most: 100 }));
        drop(one);
        three.grow_to(100).unwrap();
        drop(three);
        assert_eq!(room.taken.load(Ordering::Relaxed), 0, "all is given back");
    }
}
