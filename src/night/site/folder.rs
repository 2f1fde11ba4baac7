//! The folder of a site: claimed, locked, written to file by file, and cleared of what was ours and is no more.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::SiteError;
use super::manifest::Manifest;

/// What a folder with a site has in it. Where these are and no manifest, somebody else's files lie there.
const OURS: [&str; 4] = ["index.html", "style.css", "nights", "experiments"];

const MANIFEST: &str = ".rampkeeper-site.json";
const LOCK: &str = ".rampkeeper-site.lock";
/// There while a site is being written; left behind by a run that was killed.
const UNFINISHED: &str = ".rampkeeper-site.unfinished";

/// A folder that nobody else writes to as long as this lives.
pub(super) struct Folder {
    root: PathBuf,
    _lock: File,
    begun: Once,
    written: AtomicU64,
    unchanged: AtomicU64,
    removed: AtomicU64,
}

impl Folder {
    /// Takes the folder, makes it if need be, and reads what is known of it.
    ///
    /// # Errors
    /// A folder with somebody else's pages, one that another run writes to, or one that cannot be used.
    pub(super) fn claim(root: &Path) -> Result<(Folder, Manifest), SiteError> {
        fs::create_dir_all(root).map_err(failed(root))?;
        let manifest = root.join(MANIFEST);
        let is_new = !manifest.exists();
        if is_new && let Some(found) = OURS.iter().map(|name| root.join(name)).find(|path| path.exists()) {
            return Err(SiteError::NotOurs { folder: root.to_owned(), found });
        }
        let path = root.join(LOCK);
        let lock = File::create(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(SiteError::Busy { folder: root.to_owned() }),
            // Some network drives know no locks; the renaming of files keeps them whole all the same.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let folder = Folder {
            root: root.to_owned(),
            _lock: lock,
            begun: Once::new(),
            written: AtomicU64::new(0),
            unchanged: AtomicU64::new(0),
            removed: AtomicU64::new(0),
        };
        if is_new {
            folder.replace(&manifest, &Manifest::default().bytes()).map_err(failed(&manifest))?;
            return Ok((folder, Manifest::default()));
        }
        if folder.root.join(UNFINISHED).exists() {
            folder.sweep();
        }
        let bytes = fs::read(&manifest).map_err(failed(&manifest))?;
        // One that cannot be read is of another version: then everything is made again.
        Ok((folder, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// Where it lies.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).is_file()
    }

    /// Writes a file, whole or not at all. One that is the same stays untouched.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), SiteError> {
        let file = self.root.join(path);
        if fs::read(&file).is_ok_and(|found| found == bytes) {
            self.unchanged.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        self.begin();
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        self.replace(&file, bytes).map_err(failed(&file))?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Counts files that need not be looked at.
    pub(super) fn skip(&self, files: usize) {
        self.unchanged.fetch_add(files as u64, Ordering::Relaxed);
    }

    /// Removes a file that an earlier run wrote, and the folders that are empty then.
    pub(super) fn remove(&self, path: &str) {
        if !is_inside(path) {
            tracing::warn!(path, "not removed: the site's manifest names what does not lie in its folders");
            return;
        }
        self.begin();
        let file = self.root.join(path);
        match fs::remove_file(&file) {
            Ok(()) => {
                self.removed.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "{} could not be removed", file.display()),
        }
        let above = file.ancestors().skip(1).take_while(|above| **above != self.root);
        for folder in above {
            // It stays if anything is in it.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }

    /// Notes what is there now.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), SiteError> {
        self.note(manifest)?;
        let path = self.root.join(UNFINISHED);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The same on the way, so that a run that is killed need not begin anew.
    pub(super) fn note(&self, manifest: &Manifest) -> Result<(), SiteError> {
        let (path, bytes) = (self.root.join(MANIFEST), manifest.bytes());
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        self.replace(&path, &bytes).map_err(failed(&path))
    }

    /// How many files were written, unchanged, and removed.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.written), count(&self.unchanged), count(&self.removed))
    }

    fn begin(&self) {
        self.begun.call_once(|| {
            // Without it nothing is lost but the clearing up after a run that was killed.
            if let Err(error) = File::create(self.root.join(UNFINISHED)) {
                tracing::warn!(%error, "could not note that the site is being written");
            }
        });
    }

    fn replace(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = file.with_file_name(format!(".{name}.tmp"));
        fs::write(&unfinished, bytes)?;
        fs::rename(&unfinished, file)
    }

    /// Removes what a run left half-written that was killed.
    fn sweep(&self) {
        let mut folders = vec![self.root.clone(), self.root.join("nights"), self.root.join("experiments")];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                if name.starts_with('.') && name.ends_with(".tmp") {
                    if let Err(error) = fs::remove_file(&path) {
                        tracing::warn!(%error, "{} could not be removed", path.display());
                    }
                } else if folder != self.root && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                }
            }
        }
    }
}

/// Whether a path from a manifest leads to a page or picture, and nowhere else.
fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
    let ours = ["nights/", "experiments/"].iter().any(|folder| path.starts_with(folder));
    ours && path.split('/').all(plain) && [".html", ".png"].iter().any(|end| path.ends_with(end))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> SiteError {
    let path = path.to_owned();
    move |source| SiteError::Write { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_site_is_ever_removed() {
        assert!(is_inside("nights/2026-03-30.html") && is_inside("experiments/a.0f/b/ramp.png"));
        for elsewhere in
            ["../a.html", "nights/../../a.html", "/etc/a.html", "index.html", "nights/a.sh", "nights//a.html"]
        {
            assert!(!is_inside(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_folder_with_somebody_elses_page_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.html"), "mine").unwrap();
        assert!(matches!(Folder::claim(dir.path()), Err(SiteError::NotOurs { .. })));
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn nobody_else_writes_meanwhile_and_what_was_left_half_written_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::claim(dir.path()).unwrap();
        assert!(matches!(Folder::claim(dir.path()), Err(SiteError::Busy { .. })));
        folder.write("nights/a.html", b"a").unwrap();
        fs::write(dir.path().join("nights/.b.html.tmp"), "half").unwrap();
        // Killed here.
        drop(folder);
        let (folder, _) = Folder::claim(dir.path()).unwrap();
        assert!(!dir.path().join("nights/.b.html.tmp").exists() && folder.has("nights/a.html"));
        folder.write("nights/a.html", b"a").unwrap();
        folder.remove("nights/a.html");
        assert_eq!(folder.counts(), (0, 1, 1));
        folder.finish(&Manifest::default()).unwrap();
        assert!(!dir.path().join("nights").exists() && !dir.path().join(UNFINISHED).exists());
    }
}
