//! The format before PyTorch 1.6: five pickles one after the other (a magic number,
//! the format's version, facts about the machine, the state dict, the storages'
//! keys), then for each key the number of elements in 8 bytes and the elements.

use std::{collections::HashMap, fs::File, ops::Range};

use super::{
    MAX_PICKLE_BYTES, MAX_TENSORS, PickleError,
    cursor::Cursor,
    error::shown,
    heap::{Heap, Storage, Value},
    machine, read_up_to,
    table::{self, Table, element_size},
};

/// The first pickle: the number 0x1950a86a20f9469cfc6c.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The one version there was.
const VERSION: i64 = 1001;

/// Reads the table of contents of a file of `len` bytes.
pub(super) fn open(file: &mut File, len: u64) -> Result<Table, PickleError> {
    // How long the pickles are is only known when they have ended.
    let bytes = read_up_to(file, 0, MAX_PICKLE_BYTES)?;
    let mut code = Cursor::new(&bytes, "pickles");
    code.take(MAGIC.len())?;
    match machine::run(&mut code)? {
        (Value::Int(VERSION), _) => {}
        (other, _) => {
            let found =
                if let Value::Int(version) = other { version.to_string() } else { other.kind().into() };
            return Err(code.malformed(format!("the format's version is {found}; {VERSION} is read")));
        }
    }
    check_byte_order(&mut code)?;
    let (top, heap) = machine::run(&mut code)?;
    let tensors = heap.state_dict(top)?;
    let (keys, names) = machine::run(&mut code)?;
    let places = find_storages(file, len, code.at() as u64, &heap, text_items(&code, keys, &names)?)?;
    table::build(&tensors, len, |storage| {
        let place = places.get(storage.key).cloned();
        place.ok_or_else(|| code.malformed(format!("the storage `{}` is not listed", shown(storage.key))))
    })
}

fn check_byte_order(code: &mut Cursor<'_>) -> Result<(), PickleError> {
    let (facts, heap) = machine::run(code)?;
    let facts = if let Value::Dict(facts) = facts { heap.items(facts) } else { &[] };
    let order = facts.as_chunks::<2>().0.iter().find_map(|pair| match pair {
        [Value::Text("little_endian"), Value::Bool(is_little)] => Some(*is_little),
        _ => None,
    });
    match order {
        Some(true) => Ok(()),
        Some(false) => Err(PickleError::BigEndian),
        None => Err(code.malformed("the byte order is not stated")),
    }
}

fn text_items<'a>(code: &Cursor<'a>, list: Value<'a>, heap: &Heap<'a>) -> Result<Vec<&'a str>, PickleError> {
    let wrong = || code.malformed("the storages' keys are not a list of texts");
    let Value::List(list) = list else { return Err(wrong()) };
    let text = |value: &Value<'a>| if let Value::Text(text) = value { Some(*text) } else { None };
    heap.items(list).iter().map(text).collect::<Option<_>>().ok_or_else(wrong)
}

/// Where the elements of each storage lie. `at` is where the pickles end.
fn find_storages<'a>(
    file: &mut File,
    len: u64,
    mut at: u64,
    heap: &Heap<'a>,
    keys: Vec<&'a str>,
) -> Result<HashMap<&'a str, Range<u64>>, PickleError> {
    if keys.len() > MAX_TENSORS {
        let (found, max) = (keys.len() as u64, MAX_TENSORS as u64);
        return Err(PickleError::TooLarge { what: "storages", found, max });
    }
    let known: HashMap<&str, Storage<'a>> = heap.storages().iter().map(|s| (s.key, *s)).collect();
    let mut places = HashMap::new();
    for key in keys {
        let wrong =
            |reason: String| PickleError::NotTensors(format!("its storage `{}` {reason}", shown(key)));
        let storage = known.get(key).ok_or_else(|| wrong("belongs to no tensor".into()))?;
        let elements = Cursor::new(&read_up_to(file, at, 8)?, "storages").u64()?;
        let start = at + 8;
        let end = elements.checked_mul(element_size(storage.dtype)).and_then(|n| n.checked_add(start));
        let end = end.filter(|end| *end <= len).ok_or(PickleError::Truncated("storages"))?;
        if places.insert(key, start..end).is_some() {
            return Err(wrong("is listed twice".into()));
        }
        at = end;
    }
    Ok(places)
}
