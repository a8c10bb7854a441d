//! The series that were found, until they are read.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::query::{LabelSet, PointValue, QueryError, SelectedSeries, SeriesPoints, SourceRoom};
use crate::window::SharedWindows;

use super::derived::part_labels;
use super::find::SeriesGroup;
use super::reader::PointReader;
use super::table::PartTable;

/// What all series of one selection share.
pub(super) struct SeriesSelection<'a> {
    stores: &'a [SharedWindows],
    room: &'a dyn SourceRoom,
    reader: RefCell<PointReader>,
}

impl<'a> SeriesSelection<'a> {
    pub(super) fn new(stores: &'a [SharedWindows], room: &'a dyn SourceRoom) -> Self {
        Self {
            stores,
            room,
            reader: RefCell::default(),
        }
    }
}

/// Adds the series of a group to those that were found.
pub(super) fn add<'a>(
    group: SeriesGroup,
    selection: &Rc<SeriesSelection<'a>>,
    found: &mut Vec<Box<dyn SelectedSeries + 'a>>,
) {
    let selection = Rc::clone(selection);
    if group.parts.is_empty() {
        found.push(Box::new(WholeSeries { selection, group }));
        return;
    }
    let parts = group.parts.len();
    let divided = Rc::new(DividedSeries {
        selection,
        group,
        tables: RefCell::default(),
        held: Cell::new(0),
    });
    for part in 0..parts {
        let divided = Rc::clone(&divided);
        found.push(Box::new(PartOfSeries { divided, part }));
    }
}

/// A series that is shown as it is stored.
struct WholeSeries<'a> {
    selection: Rc<SeriesSelection<'a>>,
    group: SeriesGroup,
}

impl SelectedSeries for WholeSeries<'_> {
    fn labels(&self) -> LabelSet {
        self.group.labels.clone()
    }

    fn read(&mut self, from: i64, to: i64, into: &mut SeriesPoints) -> Result<(), QueryError> {
        let SeriesSelection {
            stores,
            room,
            reader,
        } = &*self.selection;
        let mut reader = reader.borrow_mut();
        let mut read = |(store, id), into: &mut SeriesPoints| {
            reader.whole(&stores[store], id, (from, to), *room, into)
        };
        if self.group.more.is_empty() {
            return read(self.group.place, into);
        }
        let mut all = SeriesPoints::default();
        for place in self.group.places() {
            read(place, &mut all)?;
        }
        put_in_order(all, into);
        Ok(())
    }
}

/// A histogram or summary of which parts are shown. All parts are read at once by whichever is
/// read first, and forgotten with the last, so that many buckets don't cost their square.
struct DividedSeries<'a> {
    selection: Rc<SeriesSelection<'a>>,
    group: SeriesGroup,
    tables: RefCell<Option<ReadTables>>,
    /// The bytes of the tables.
    held: Cell<usize>,
}

/// What was read, a table for each store, and between which times.
struct ReadTables {
    span: (i64, i64),
    tables: Vec<PartTable>,
}

impl DividedSeries<'_> {
    fn read_tables(&self, span: (i64, i64)) -> Result<ReadTables, QueryError> {
        let SeriesSelection {
            stores,
            room,
            reader,
        } = &*self.selection;
        let mut reader = reader.borrow_mut();
        room.release(self.held.take());
        let mut tables = Vec::new();
        for (store, id) in self.group.places() {
            let mut table = PartTable::default();
            reader.parts(
                &stores[store],
                id,
                span,
                &self.group.parts,
                *room,
                &mut table,
            )?;
            self.held.set(self.held.get() + table.bytes());
            tables.push(table);
        }
        Ok(ReadTables { span, tables })
    }
}

impl Drop for DividedSeries<'_> {
    fn drop(&mut self) {
        self.selection.room.release(self.held.get());
    }
}

struct PartOfSeries<'a> {
    divided: Rc<DividedSeries<'a>>,
    part: usize,
}

impl SelectedSeries for PartOfSeries<'_> {
    fn labels(&self) -> LabelSet {
        let group = &self.divided.group;
        part_labels(&group.labels, group.parts[self.part])
    }

    fn read(&mut self, from: i64, to: i64, into: &mut SeriesPoints) -> Result<(), QueryError> {
        let mut known = self.divided.tables.borrow_mut();
        let read = match known.take() {
            Some(read) if read.span == (from, to) => read,
            _ => self.divided.read_tables((from, to))?,
        };
        let tables = &known.insert(read).tables;
        if let [table] = &tables[..] {
            table.copy(self.part, into);
            return Ok(());
        }
        let mut all = SeriesPoints::default();
        for table in tables {
            table.copy(self.part, &mut all);
        }
        put_in_order(all, into);
        Ok(())
    }
}

/// Sorts the points of several stores by time. Of those at one time the first stays.
fn put_in_order(points: SeriesPoints, into: &mut SeriesPoints) {
    let floats = points.times.into_iter().zip(points.values);
    let histograms = points.histograms.into_iter();
    let mut all: Vec<(i64, PointValue)> = histograms
        .map(|(time, histogram)| (time, PointValue::Histogram(histogram)))
        .chain(floats.map(|(time, value)| (time, PointValue::Float(value))))
        .collect();
    all.sort_by_key(|(time, _)| *time);
    all.dedup_by_key(|(time, _)| *time);
    for (time, value) in all {
        match value {
            PointValue::Float(value) => into.push(time, value),
            PointValue::Histogram(histogram) => into.histograms.push((time, histogram)),
        }
    }
}
