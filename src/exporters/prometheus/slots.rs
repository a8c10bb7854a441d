//! A list whose entries keep their index.

/// A list in which removing an entry doesn't move the others.
#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    /// Puts an entry at a free index, and returns that.
    pub(super) fn insert(&mut self, entry: T) -> usize {
        if let Some(index) = self.free.pop()
            && let Some(place) = self.entries.get_mut(index)
        {
            *place = Some(entry);
            return index;
        }
        // A vector begins with room for four entries, but most families have one or two series.
        if self.entries.len() == self.entries.capacity() && self.entries.len() < 4 {
            self.entries.reserve_exact(self.entries.len().max(1));
        }
        self.entries.push(Some(entry));
        self.entries.len() - 1
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<T> {
        let entry = self.entries.get_mut(index)?.take()?;
        self.free.push(index);
        Some(entry)
    }

    /// Frees the memory after the last entry once most of it is unused.
    pub(super) fn compact(&mut self) {
        let used = self.entries.iter().rposition(Option::is_some);
        let used = used.map_or(0, |last| last + 1);
        if used < self.entries.len() {
            self.entries.truncate(used);
            self.free.retain(|index| *index < used);
        }
        if used < self.entries.capacity() / 4 {
            self.entries.shrink_to_fit();
            self.free.shrink_to_fit();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// A bound above every index in use.
    pub(super) fn end(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.entries.get(index)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index)?.as_mut()
    }

    /// The entries at and after an index, each with its index.
    pub(super) fn from(&self, start: usize) -> impl Iterator<Item = (usize, &T)> {
        let places = self.entries.iter().enumerate().skip(start);
        places.filter_map(|(index, place)| Some((index, place.as_ref()?)))
    }

    /// All entries.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_gives_its_room_back_and_nothing_moves() {
        let mut slots = Slots::default();
        let all: Vec<usize> = (0..1_000).map(|entry| slots.insert(entry)).collect();
        for index in all.iter().filter(|index| **index != 3) {
            slots.remove(*index);
        }
        assert!(slots.entries.capacity() >= 1_000);
        slots.compact();
        assert_eq!((slots.len(), slots.get(3)), (1, Some(&3)));
        assert!(slots.entries.capacity() < 10 && slots.free.capacity() < 10);
        // Free indices are used again; those that `compact` removed aren't.
        let places: Vec<usize> = (0..5).map(|entry| slots.insert(entry)).collect();
        assert_eq!(slots.len(), 6);
        assert_eq!(places.iter().filter(|place| **place < 3).count(), 3);
        slots.remove(3);
        for place in places {
            slots.remove(place);
        }
        slots.compact();
        assert!(slots.is_empty() && slots.entries.capacity() == 0);
    }
}
