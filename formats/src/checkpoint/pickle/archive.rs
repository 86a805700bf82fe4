//! The zip archive of PyTorch 1.6 and later: `<root>/data.pkl` and `<root>/data/<key>`.

use std::fs::File;

use super::{
    MAX_PICKLE_BYTES, PickleError,
    cursor::Cursor,
    error::shown,
    machine, read_up_to,
    table::{self, Table},
    zip::Zip,
};

const PICKLE: &str = "data.pkl";

/// Reads the table of contents of an archive of `len` bytes.
pub(super) fn open(file: &mut File, len: u64) -> Result<Table, PickleError> {
    let zip = Zip::open(file, len)?;
    let root = root(&zip)?;
    let byte_order = format!("{root}/byteorder");
    // Versions before 2.1 do not say; all they were released for is little-endian.
    if zip.names().any(|name| name == byte_order) {
        let range = zip.locate(file, &byte_order)?;
        match read_up_to(file, range.start, (range.end - range.start).min(16))?.as_slice() {
            b"little" => {}
            b"big" => return Err(PickleError::BigEndian),
            other => {
                let stated = String::from_utf8_lossy(other);
                return Err(PickleError::Archive(format!("its byte order is `{}`", shown(&stated))));
            }
        }
    }
    let pickle = zip.locate(file, &format!("{root}/{PICKLE}"))?;
    let size = pickle.end - pickle.start;
    if size > MAX_PICKLE_BYTES {
        let what = "bytes in its pickle";
        return Err(PickleError::TooLarge { what, found: size, max: MAX_PICKLE_BYTES });
    }
    let code = read_up_to(file, pickle.start, size)?;
    let (top, heap) = machine::run(&mut Cursor::new(&code, "pickle"))?;
    let tensors = heap.state_dict(top)?;
    table::build(&tensors, len, |storage| zip.locate(file, &format!("{root}/data/{}", storage.key)))
}

/// The folder that everything lies in: the name the file had when it was saved.
fn root(zip: &Zip) -> Result<String, PickleError> {
    let roots = || zip.names().filter_map(|name| name.split_once('/')).filter(|(_, rest)| *rest == PICKLE);
    match (roots().next(), roots().nth(1)) {
        (Some((root, _)), None) => Ok(root.to_owned()),
        (None, _) => Err(PickleError::Archive("it has no `data.pkl`: PyTorch did not write it".into())),
        (Some(_), Some(_)) => Err(PickleError::Archive("it has more than one `data.pkl`".into())),
    }
}
