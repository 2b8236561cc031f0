//! Tests of the state file on a disk that holds up writes or is full.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use super::*;
use crate::engine::state::part::no_older_version;
use crate::exposition::ExporterMetrics;

const ONE: Part = Part { name: "one/part", version: 1, upgrade: no_older_version };
const MORE: Part = Part { name: "one/more", version: 1, upgrade: no_older_version };
const TWO: Part = Part { name: "two/part", version: 1, upgrade: no_older_version };
const LATER: Part = Part { name: "two/part", version: 2, upgrade: no_older_version };

/// A disk on which a write ends when the test lets it, and fails when the test says so.
#[derive(Clone, Default)]
struct Double(Arc<Inside>);

#[derive(Default)]
struct Inside {
    is_held: Mutex<bool>,
    let_go: Condvar,
    is_full: AtomicBool,
    created: AtomicUsize,
}

impl Double {
    fn hold(&self, is_held: bool) {
        *self.0.is_held.lock().expect("no panic") = is_held;
        self.0.let_go.notify_all();
    }

    fn created(&self) -> usize {
        self.0.created.load(Ordering::SeqCst)
    }
}

impl Disk for Double {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.0.created.fetch_add(1, Ordering::SeqCst);
        if self.0.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        File::create(path)
    }

    fn synchronise(&self, file: &File) -> io::Result<()> {
        let is_held = self.0.is_held.lock().expect("no panic");
        let waited = self.0.let_go.wait_while(is_held, |is_held| *is_held);
        drop(waited.expect("no panic"));
        file.sync_all()
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn open(&self, disk: &Double) -> StateFile {
        let metrics = ExporterMetrics::new(false).expect("names");
        let metrics = metrics.state_file().expect("names");
        StateFile::open_on(disk.clone(), &self.0.path().join("state"), metrics).expect("a lock")
    }

    /// The sections of the files that are whole, by the part of their names that tells what they are.
    fn files(&self) -> BTreeMap<String, Vec<String>> {
        let files = std::fs::read_dir(self.0.path()).expect("a folder");
        let files = files.map(|file| file.expect("a file").path());
        let states = files.filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            if name.ends_with(".new") {
                return None;
            }
            let sections = format::parse(&std::fs::read_to_string(&path).ok()?).ok()?;
            let what = name.split_once(".20").map_or(name.as_str(), |(what, _)| what);
            Some((what.to_owned(), sections.into_keys().collect()))
        });
        states.collect()
    }
}

fn number(part: &Part, number: u32) -> Vec<Section> {
    vec![encode(part, &number).expect("JSON")]
}

fn expected(files: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let files = files.iter();
    files
        .map(|(name, sections)| {
            ((*name).to_owned(), sections.iter().map(|section| (*section).to_owned()).collect())
        })
        .collect()
}

#[tokio::test]
async fn saves_that_come_while_a_write_goes_on_become_one_write() {
    let (folder, disk) = (Folder::new(), Double::default());
    let state = folder.open(&disk);
    disk.hold(true);
    let first = state.save(number(&ONE, 0));
    while disk.created() == 0 {
        tokio::task::yield_now().await;
    }
    let saves: Vec<_> = (1..=100).map(|n| state.save(number(&ONE, n))).collect();
    let nothing_new = state.save(Vec::new());
    assert_eq!(disk.created(), 1);
    disk.hold(false);
    assert!(first.await && nothing_new.await);
    for save in saves {
        assert!(save.await);
    }
    assert_eq!(disk.created(), 2);
    assert!(state.save(Vec::new()).await);
    assert_eq!(disk.created(), 2, "everything is on the disk");
    drop(state);
    assert_eq!(folder.open(&disk).section::<u32>(&ONE), Ok(Some(100)));
}

#[test]
fn the_end_waits_for_what_was_saved() {
    let (folder, disk) = (Folder::new(), Double::default());
    let state = folder.open(&disk);
    disk.hold(true);
    drop(state.save(number(&ONE, 1)));
    drop(state.save(number(&TWO, 2)));
    let let_go = disk.clone();
    let ending = std::thread::spawn(move || drop(state));
    assert!(folder.files().is_empty() && !ending.is_finished());
    let_go.hold(false);
    ending.join().expect("no panic");
    let state = folder.open(&disk);
    assert_eq!(state.section::<u32>(&ONE), Ok(Some(1)));
    assert_eq!(state.section::<u32>(&TWO), Ok(Some(2)));
}

#[tokio::test]
async fn what_is_set_aside_touches_nothing_else() {
    let (folder, disk) = (Folder::new(), Double::default());
    let state = folder.open(&disk);
    let sections = [number(&ONE, 1), number(&MORE, 2), number(&TWO, 3)];
    assert!(state.save(sections.into_iter().flatten().collect()).await);

    assert_eq!(state.section_or_set_aside::<String>(&MORE), None, "it is a number");
    assert!(state.save(Vec::new()).await);
    let (one, more, two) = ("one/part", "one/more", "two/part");
    let files = [("state", &[one, two][..]), ("state.one-more", &[more][..])];
    assert_eq!(folder.files(), expected(&files));
    state.set_aside(&MORE, "it is gone already");

    state.set_aside_all_of("one", "it is another database");
    assert!(state.save(Vec::new()).await);
    let files = [("state", &[two][..]), ("state.one", &[one]), ("state.one-more", &[more])];
    assert_eq!(folder.files(), expected(&files));
    assert_eq!(state.section::<u32>(&TWO), Ok(Some(3)));
}

#[tokio::test]
async fn a_section_of_a_later_version_is_set_aside_before_it_is_replaced() {
    let (folder, disk) = (Folder::new(), Double::default());
    let state = folder.open(&disk);
    assert!(state.save(number(&LATER, 7)).await);
    drop(state);
    let state = folder.open(&disk);
    disk.0.is_full.store(true, Ordering::SeqCst);
    assert_eq!(state.section_or_set_aside::<u32>(&TWO), None);
    assert!(!state.save(number(&TWO, 8)).await);
    drop(state);
    assert_eq!(folder.files(), expected(&[("state", &["two/part"])]));

    let state = folder.open(&disk);
    disk.0.is_full.store(false, Ordering::SeqCst);
    assert_eq!(state.section::<u32>(&LATER), Ok(Some(7)), "nothing was lost");
    assert_eq!(state.section_or_set_aside::<u32>(&TWO), None);
    assert!(state.save(number(&TWO, 8)).await);
    let files = [("state", &["two/part"][..]), ("state.two-part", &["two/part"])];
    assert_eq!(folder.files(), expected(&files));
}

#[tokio::test]
async fn a_save_that_failed_is_made_good_by_the_next() {
    let (folder, disk) = (Folder::new(), Double::default());
    let state = folder.open(&disk);
    disk.0.is_full.store(true, Ordering::SeqCst);
    assert!(!state.save(number(&ONE, 1)).await);
    assert!(!state.save(Vec::new()).await);
    disk.0.is_full.store(false, Ordering::SeqCst);
    assert!(state.save(Vec::new()).await);
    drop(state);
    assert_eq!(folder.open(&disk).section::<u32>(&ONE), Ok(Some(1)));
}

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn link(&self, from: &str, to: &str) {
        std::os::unix::fs::symlink(self.path(to), self.path(from)).expect("a link");
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    fn open_local(&self, name: &str) -> Result<StateFile, CannotOpen> {
        let metrics = ExporterMetrics::new(false).expect("names");
        StateFile::open(&self.path(name), metrics.state_file().expect("names"))
    }
}

#[tokio::test]
async fn a_link_stays_and_the_file_it_leads_to_is_written() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("elsewhere")).expect("a folder");
    folder.link("second", "elsewhere/state");
    folder.link("first", "second");
    for number_now in [1, 2] {
        let state = folder.open_local("first").expect("a lock");
        assert!(state.save(number(&ONE, number_now)).await);
        for link in ["first", "second"] {
            assert!(folder.path(link).is_symlink(), "{link}");
        }
        assert!(folder.text("elsewhere/state").contains("one/part"));
        assert!(matches!(folder.open_local("elsewhere/state"), Err(CannotOpen::InUse(_))));
    }
    let state = folder.open_local("second").expect("a lock");
    assert_eq!(state.section::<u32>(&ONE), Ok(Some(2)));
}

#[tokio::test]
async fn what_others_own_beside_the_file_is_left_alone() {
    let folder = Folder::new();
    for name in ["lock", "new"] {
        std::fs::write(folder.path(&format!("of-others-{name}")), "theirs").expect("a file");
        folder.link(&format!("state.{name}"), &format!("of-others-{name}"));
    }
    let state = folder.open_local("state").expect("no lock is no reason");
    assert!(!state.save(number(&ONE, 1)).await);
    std::fs::remove_file(folder.path("state.new")).expect("a link");
    assert!(state.save(Vec::new()).await, "it is made good when the link is gone");
    for name in ["lock", "new"] {
        assert_eq!(folder.text(&format!("of-others-{name}")), "theirs");
    }
    // What a process left there that was killed is no obstacle.
    std::fs::write(folder.path("state.new"), "half").expect("a file");
    assert!(state.save(number(&ONE, 2)).await);
    std::fs::create_dir(folder.path("state.new")).expect("a folder");
    assert!(!state.save(number(&ONE, 3)).await);
}

#[tokio::test]
async fn whoever_deletes_the_lock_lets_no_second_process_in() {
    let folder = Folder::new();
    let state = folder.open_local("state").expect("a lock");
    for number_now in [1, 2] {
        assert!(state.save(number(&ONE, number_now)).await);
        std::fs::remove_file(folder.path("state.lock")).expect("a lock");
        assert!(matches!(folder.open_local("state"), Err(CannotOpen::InUse(_))));
    }
    drop(state);
    let state = folder.open_local("state").expect("a lock");
    std::fs::remove_file(folder.path("state.lock")).expect("a lock");
    assert!(
        matches!(folder.open_local("state"), Err(CannotOpen::InUse(_))),
        "also before anything was saved"
    );
    drop(state);
}

#[tokio::test]
async fn beside_the_process_that_uses_it_a_file_is_read_and_left_as_it_is() {
    let folder = Folder::new();
    let state = folder.open_local("state").expect("a lock");
    assert!(state.save(number(&ONE, 1)).await);
    assert!(state.save(number(&LATER, 7)).await);
    let before = folder.text("state");
    let beside = StateFile::read_only(&folder.path("state"));
    assert_eq!(beside.section::<u32>(&ONE), Ok(Some(1)));
    assert_eq!(beside.section_or_set_aside::<u32>(&TWO), None);
    assert!(beside.save(number(&ONE, 2)).await);
    assert_eq!(beside.section::<u32>(&ONE), Ok(Some(2)));
    drop(beside);
    assert_eq!(folder.text("state"), before);
    let names = std::fs::read_dir(folder.0.path()).expect("a folder").count();
    assert_eq!(names, 2, "the file and its lock");
    let nothing = StateFile::read_only(&folder.path("nothing"));
    assert_eq!(nothing.section::<u32>(&ONE), Ok(None));
}
