//! Texts of labels, each kept once.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// A text that is kept: the same number for the same text, as long as somebody uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Symbol(u32);

/// What one text takes beside its bytes: the counts of the `Arc`, the slot, the table's entry.
const EACH: usize = 16 + 16 + size_of::<SymbolSlot>() + 8;

/// Counted texts.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    table: HashTable<u32>,
    slots: Vec<SymbolSlot>,
    free: Vec<u32>,
    hasher: RandomState,
    bytes: usize,
}

#[derive(Debug)]
struct SymbolSlot {
    text: Arc<str>,
    users: u32,
}

impl Symbols {
    /// Bytes of the texts and of what finds them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a user of the text.
    pub(super) fn intern(&mut self, text: &str) -> Symbol {
        let hash = self.hasher.hash_one(text);
        let slots = &mut self.slots;
        if let Some(found) = self
            .table
            .find(hash, |slot| *slots[*slot as usize].text == *text)
        {
            slots[*found as usize].users += 1;
            return Symbol(*found);
        }
        let slot = SymbolSlot {
            text: text.into(),
            users: 1,
        };
        self.bytes += text.len() + EACH;
        let number = match self.free.pop() {
            Some(number) => {
                slots[number as usize] = slot;
                number
            }
            None => {
                slots.push(slot);
                (slots.len() - 1) as u32
            }
        };
        let hasher = &self.hasher;
        self.table.insert_unique(hash, number, |slot| {
            hasher.hash_one(&*slots[*slot as usize].text)
        });
        Symbol(number)
    }

    /// Takes a user of the text away.
    pub(super) fn release(&mut self, symbol: Symbol) {
        let slot = &mut self.slots[symbol.0 as usize];
        slot.users -= 1;
        if slot.users > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&*slot.text);
        self.bytes -= slot.text.len() + EACH;
        slot.text = Arc::default();
        if let Ok(entry) = self.table.find_entry(hash, |slot| *slot == symbol.0) {
            entry.remove();
        }
        self.free.push(symbol.0);
    }

    pub(super) fn find(&self, text: &str) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        self.table
            .find(hash, |slot| *self.slots[*slot as usize].text == *text)
            .map(|slot| Symbol(*slot))
    }

    pub(super) fn text(&self, symbol: Symbol) -> &Arc<str> {
        &self.slots[symbol.0 as usize].text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_until_its_last_user_goes() {
        let mut symbols = Symbols::default();
        let first = symbols.intern("a");
        assert_eq!(symbols.intern("a"), first);
        assert_ne!(symbols.intern("b"), first);
        symbols.release(first);
        assert_eq!(symbols.find("a"), Some(first));
        assert_eq!(&**symbols.text(first), "a");
        symbols.release(first);
        assert_eq!(symbols.find("a"), None);
        let b = symbols.find("b").unwrap();
        symbols.release(b);
        assert_eq!(symbols.bytes(), 0);
    }
}
