//! The one place that maps a file of rows.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

/// The content of a file, read from the disk where and when it is touched. The bytes stay valid
/// for as long as any slice of them, also after the file was removed.
pub fn map(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the mapping is read-only and private. It would be unsound if the file were cut
    // or written to meanwhile; files of rows and graphs are written once, under a name nobody
    // opens before they are whole, and afterwards only removed, which leaves a mapping as it
    // is. The data directory is locked against a second process of ours.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}
