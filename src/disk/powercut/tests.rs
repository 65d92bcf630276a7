//! The simulator, against the real directory it watches.

use super::*;
use crate::disk::Disk;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

struct Lab {
    home: tempfile::TempDir,
    cut: Arc<PowerCut>,
    disk: Disk,
}

impl Lab {
    fn new() -> Lab {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("live")).unwrap();
        let cut = PowerCut::over(&home.path().join("live")).unwrap();
        let disk = Disk::watched(cut.clone());
        Lab { home, cut, disk }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join("live").join(name)
    }

    fn image(&self, image: Image) -> PathBuf {
        let into = self.home.path().join(format!("{image:?}"));
        let _ = std::fs::remove_dir_all(&into);
        self.cut.write_image(self.cut.steps(), image, &into).unwrap();
        into
    }
}

#[test]
fn a_synced_file_without_a_synced_name_is_absent() {
    let lab = Lab::new();
    let file = lab.disk.create(&lab.at("a")).unwrap();
    file.write_at(b"hello", 0).unwrap();
    file.sync("content").unwrap();
    assert!(names(&lab.image(Image::Durable)).is_empty());
    assert_eq!(names(&lab.image(Image::Killed)), ["a"]);
    lab.disk.sync_dir(&lab.at(""), "name").unwrap();
    assert_eq!(std::fs::read(lab.image(Image::Durable).join("a")).unwrap(), b"hello");
    lab.cut.forget("content");
    assert_eq!(std::fs::read(lab.image(Image::Durable).join("a")).unwrap(), b"");
    lab.cut.forget("name");
    assert!(names(&lab.image(Image::Durable)).is_empty());
    assert_eq!(lab.cut.whys(), BTreeSet::from(["content", "name"]));
}

#[test]
fn the_killed_image_is_the_directory_itself() {
    let lab = Lab::new();
    lab.disk.create_dir_all(&lab.at("d")).unwrap();
    let file = lab.disk.create(&lab.at("d/a")).unwrap();
    file.allocate(2000).unwrap();
    file.write_at(&[7; 700], 300).unwrap();
    file.truncate(900).unwrap();
    lab.disk.rename(&lab.at("d/a"), &lab.at("d/b")).unwrap();
    lab.disk.create(&lab.at("gone")).unwrap();
    lab.disk.remove(&lab.at("gone")).unwrap();
    let image = lab.image(Image::Killed);
    assert_eq!(names(&image), names(&lab.at("")));
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    assert_eq!(read(image.join("d/b")), read(lab.at("d/b")));
}

#[test]
fn in_between_any_sectors_and_any_prefix_of_names() {
    let lab = Lab::new();
    let file = lab.disk.create(&lab.at("a")).unwrap();
    lab.disk.sync_dir(&lab.at(""), "name").unwrap();
    file.write_at(&[1; 1024], 0).unwrap();
    lab.disk.create(&lab.at("b")).unwrap();
    let seen: BTreeSet<_> = (0..200)
        .map(|seed| {
            let image = lab.image(Image::Between(seed));
            (std::fs::read(image.join("a")).unwrap(), names(&image).len())
        })
        .collect();
    // Neither, first, second or both sectors, each with and without the second name.
    assert_eq!(seen.len(), 8);
}

#[test]
fn what_a_failed_sync_left_is_shown_but_never_written() {
    let lab = Lab::new();
    let file = lab.disk.create(&lab.at("a")).unwrap();
    lab.disk.sync_dir(&lab.at(""), "name").unwrap();
    file.write_at(b"lost", 0).unwrap();
    lab.cut.fail(lab.cut.steps(), io::ErrorKind::Other);
    file.sync("content").unwrap_err();
    file.write_at(b"kept", 4).unwrap();
    file.sync("content").unwrap();
    let read = |image| std::fs::read(lab.image(image).join("a")).unwrap();
    assert_eq!(read(Image::Killed), b"lostkept");
    assert_eq!(read(Image::Durable), b"\0\0\0\0kept");
}
