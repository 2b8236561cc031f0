//! More records than memory should hold, put in order on the disk.
//!
//! Records are gathered in memory, and written as a sorted run whenever there are enough. At the end all runs are
//! read side by side, each once and from its beginning to its end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// How many bytes of all runs together are held in memory while they are merged.
const MERGE_MEMORY: usize = 1 << 24;

/// The least that is read of a run at once.
const LEAST_READ: usize = 1 << 12;

/// The most that is read or written at once.
const MOST_AT_ONCE: usize = 1 << 16;

/// What is put in order, by all of it.
pub trait Record: Copy + Ord {
    /// How many bytes it takes.
    const SIZE: usize;

    /// Appends these bytes.
    fn write(self, bytes: &mut Vec<u8>);

    /// What so many bytes say; none if they are too few.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// Records that are gathered.
pub struct Runs<R, F> {
    file: F,
    /// Where each run lies in the file.
    runs: Vec<Range<u64>>,
    /// What has not been written yet.
    held: Vec<R>,
    limit: usize,
}

impl<R: Record, F: Read + Write + Seek> Runs<R, F> {
    /// None yet; up to `limit` are held in memory, the others in an empty `file`.
    pub fn new(file: F, limit: usize) -> Runs<R, F> {
        Runs { file, runs: Vec::new(), held: Vec::new(), limit: limit.max(1) }
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn add(&mut self, record: R) -> io::Result<()> {
        self.held.push(record);
        if self.held.len() >= self.limit { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        let start = self.runs.last().map_or(0, |run| run.end);
        let mut end = start;
        let mut bytes = Vec::with_capacity(MOST_AT_ONCE);
        for records in self.held.chunks(MOST_AT_ONCE / R::SIZE) {
            bytes.clear();
            records.iter().for_each(|record| record.write(&mut bytes));
            self.file.write_all(&bytes)?;
            end += bytes.len() as u64;
        }
        self.runs.push(start..end);
        self.held.clear();
        Ok(())
    }

    /// All records in their order.
    ///
    /// # Errors
    ///
    /// If the file cannot be written or read.
    pub fn merge(mut self) -> io::Result<Merge<R, F>> {
        self.file.flush()?;
        self.held.sort_unstable();
        self.held.reverse();
        let at_once = (MERGE_MEMORY / self.runs.len().max(1)).clamp(LEAST_READ, MOST_AT_ONCE);
        let runs = self.runs.into_iter();
        let runs = runs.map(|rest| Run { rest, bytes: Vec::new(), place: 0 }).collect();
        let mut merge = Merge {
            file: self.file,
            at_once: at_once / R::SIZE * R::SIZE,
            runs,
            held: self.held,
            next: BinaryHeap::new(),
        };
        for run in 0..merge.runs.len() {
            if let Some(record) = merge.read(run)? {
                merge.next.push(Reverse((record, run)));
            }
        }
        Ok(merge)
    }
}

/// A run, of which some is in memory.
struct Run {
    /// What has not been read yet.
    rest: Range<u64>,
    bytes: Vec<u8>,
    /// How much of the bytes has been given.
    place: usize,
}

/// Records in their order.
pub struct Merge<R, F> {
    file: F,
    at_once: usize,
    runs: Vec<Run>,
    /// What was never written, the last first.
    held: Vec<R>,
    /// The next record of each run.
    next: BinaryHeap<Reverse<(R, usize)>>,
}

impl<R: Record, F: Read + Seek> Merge<R, F> {
    /// The next record of one run.
    fn read(&mut self, run: usize) -> io::Result<Option<R>> {
        let Some(run) = self.runs.get_mut(run) else { return Ok(None) };
        if run.place >= run.bytes.len() {
            let left = run.rest.end - run.rest.start;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.at_once);
            if length == 0 {
                run.bytes = Vec::new();
                return Ok(None);
            }
            run.bytes.resize(length, 0);
            run.place = 0;
            self.file.seek(SeekFrom::Start(run.rest.start))?;
            self.file.read_exact(&mut run.bytes)?;
            run.rest.start += length as u64;
        }
        let record = run.bytes.get(run.place..).and_then(R::read);
        run.place += R::SIZE;
        Ok(record)
    }

    /// The next record, which stays the next.
    pub fn peek(&self) -> Option<R> {
        let written = self.next.peek().map(|Reverse((record, _))| *record);
        let held = self.held.last().copied();
        written.into_iter().chain(held).min()
    }

    /// Takes the next record.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn take(&mut self) -> io::Result<Option<R>> {
        let Some(record) = self.peek() else { return Ok(None) };
        let run = match self.next.peek() {
            Some(Reverse((first, run))) if *first == record => *run,
            _ => {
                self.held.pop();
                return Ok(Some(record));
            }
        };
        let following = self.read(run)?;
        if let Some(mut first) = self.next.peek_mut() {
            match following {
                Some(following) => *first = Reverse((following, run)),
                None => {
                    PeekMut::pop(first);
                }
            }
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Cursor;
    use std::rc::Rc;

    use super::*;

    impl Record for u64 {
        const SIZE: usize = 8;

        fn write(self, bytes: &mut Vec<u8>) {
            bytes.extend(self.to_le_bytes());
        }

        fn read(bytes: &[u8]) -> Option<u64> {
            bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
        }
    }

    /// A file that counts what is read and written.
    #[derive(Default)]
    struct Counting {
        file: Cursor<Vec<u8>>,
        read: Rc<Cell<usize>>,
        written: Rc<Cell<usize>>,
    }

    impl Read for Counting {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let read = self.file.read(bytes)?;
            self.read.set(self.read.get() + read);
            Ok(read)
        }
    }

    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let written = self.file.write(bytes)?;
            self.written.set(self.written.get() + written);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Counting {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    fn merged(numbers: &[u64], limit: usize) -> (Vec<u64>, usize, usize) {
        let file = Counting::default();
        let (read, written) = (Rc::clone(&file.read), Rc::clone(&file.written));
        let mut runs = Runs::new(file, limit);
        for number in numbers {
            runs.add(*number).expect("memory");
        }
        let mut merge = runs.merge().expect("memory");
        let mut sorted = Vec::new();
        while let Some(number) = merge.take().expect("memory") {
            sorted.push(number);
        }
        (sorted, read.get(), written.get())
    }

    #[test]
    fn everything_comes_in_order_and_is_read_once() {
        // A generator of numbers that look random, with some that come twice.
        let numbers: Vec<u64> = (0..50_000_u64)
            .map(|number| number.wrapping_mul(6_364_136_223_846_793_005) % 10_007)
            .collect();
        let mut expected = numbers.clone();
        expected.sort_unstable();
        for limit in [1, 7, 1_000, 49_999, 50_000, 50_001] {
            let numbers = if limit == 1 { &numbers[..500] } else { &numbers[..] };
            let (sorted, read, written) = merged(numbers, limit);
            if limit > 1 {
                assert_eq!(sorted, expected, "{limit} in memory");
            }
            assert!(sorted.is_sorted() && sorted.len() == numbers.len());
            let on_disk = numbers.len() / limit * limit * 8;
            assert_eq!((read, written), (on_disk, on_disk), "{limit} in memory");
        }
    }
}
