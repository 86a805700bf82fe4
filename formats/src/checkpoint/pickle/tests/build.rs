//! Archives and pickles by hand: what `torch.save` would never write.

/// A zip archive as `torch.save` lays it out, or nearly.
pub(super) struct Zip {
    pub(super) entries: Vec<(String, Vec<u8>)>,
    /// 8 is deflate.
    pub(super) method: u16,
    /// Whether sizes and offsets stand in zip64 fields.
    pub(super) is_wide: bool,
    /// The name in the local headers where it is another than in the directory.
    pub(super) local_name: Option<String>,
    /// What the end of the archive says about the number of entries.
    pub(super) count: Option<u16>,
}

impl Zip {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, data) in &self.entries {
            let (start, size) = (bytes.len() as u64, data.len() as u64);
            let small = |n: u64| if self.is_wide { u32::MAX } else { n as u32 }.to_le_bytes();
            let common = |name: &str, extra: &[u8]| {
                let lengths =
                    [(name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat();
                let [flags, times] = [[0; 4], [0; 4]];
                let mut fields = flags.to_vec();
                fields.extend(
                    [self.method.to_le_bytes().as_slice(), &times, &[0; 4], &small(size), &small(size)]
                        .concat(),
                );
                fields.extend(lengths);
                fields
            };
            let local = self.local_name.as_ref().unwrap_or(name);
            bytes.extend([b"PK\x03\x04".as_slice(), &common(local, &[]), local.as_bytes(), data].concat());
            let wide = [size, size, start].map(u64::to_le_bytes).concat();
            let extra = [b"\x01\x00\x18\x00".as_slice(), &wide].concat();
            let extra = if self.is_wide { extra } else { Vec::new() };
            directory.extend(
                [b"PK\x01\x02\0\0".as_slice(), &common(name, &extra), &[0; 10], &small(start)].concat(),
            );
            directory.extend([name.as_bytes(), &extra].concat());
        }
        let (start, size) = (bytes.len() as u64, directory.len() as u64);
        let count = self.count.unwrap_or(self.entries.len() as u16);
        bytes.extend(directory);
        if self.is_wide {
            let at = bytes.len() as u64;
            let record = [u64::from(count), u64::from(count), size, start].map(u64::to_le_bytes).concat();
            bytes.extend([b"PK\x06\x06".as_slice(), &[0; 20], &record].concat());
            bytes.extend([b"PK\x06\x07\0\0\0\0".as_slice(), &at.to_le_bytes(), &[1, 0, 0, 0]].concat());
        }
        let counts = [count.to_le_bytes(), count.to_le_bytes()].concat();
        let place = [(size as u32).to_le_bytes(), (start as u32).to_le_bytes()].concat();
        bytes.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &counts, &place, &[0; 2]].concat());
        bytes
    }
}

/// An archive with this pickle and a storage `0` of four f32.
pub(super) fn archive(pickle: &[u8]) -> Vec<u8> {
    archive_with(pickle, |_| {})
}

/// Like [`archive`], after `change`.
pub(super) fn archive_with(pickle: &[u8], change: impl FnOnce(&mut Zip)) -> Vec<u8> {
    let storage = [0.0, 1.0, 2.0, 3_f32].map(f32::to_le_bytes).concat();
    let entries =
        [("a/data.pkl", pickle.to_vec()), ("a/byteorder", b"little".to_vec()), ("a/data/0", storage)];
    let entries = entries.map(|(name, data)| (name.to_owned(), data)).into();
    let mut zip = Zip { entries, method: 0, is_wide: false, local_name: None, count: None };
    change(&mut zip);
    zip.bytes()
}

/// `GLOBAL`
pub(super) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// `SHORT_BINUNICODE`
pub(super) fn text(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8], text.as_bytes()].concat()
}

/// `LONG1`
pub(super) fn int(n: i64) -> Vec<u8> {
    [b"\x8a\x08".as_slice(), &n.to_le_bytes()].concat()
}

/// A tuple of integers.
pub(super) fn ints(numbers: &[i64]) -> Vec<u8> {
    [b"(".to_vec(), numbers.iter().flat_map(|n| int(*n)).collect(), b"t".to_vec()].concat()
}

/// The f32 storage `0` of `len` elements.
pub(super) fn storage(len: i64) -> Vec<u8> {
    let fields =
        [text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), int(len)].concat();
    [b"(".as_slice(), &fields, b"tQ"].concat()
}

/// A tensor in that storage.
pub(super) fn tensor(len: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let fields = [storage(len), int(offset), ints(shape), ints(strides)].concat();
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    [rebuild.as_slice(), b"(", &fields, b"\x89}tR"].concat()
}

/// A pickle of a dict with one item.
pub(super) fn dict(key: &[u8], value: &[u8]) -> Vec<u8> {
    [b"\x80\x02}".as_slice(), key, value, b"s."].concat()
}

/// A state dict whose tensor `w` counts to `n`.
pub(super) fn numbers(n: i64) -> Vec<u8> {
    dict(&text("w"), &tensor(4, 0, &[n], &[1]))
}
