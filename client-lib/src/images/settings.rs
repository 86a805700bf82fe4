//! `preprocessor_config.json` of image processors.

use serde_json::{Map, Value};

/// What happens to an image before a backbone reads it, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSettings {
    /// The size that an image is brought to, and how.
    pub resize: Option<(Size, Filter)>,
    /// Height and width that are cut out of the middle.
    pub crop: Option<[usize; 2]>,
    /// Factor on the values from 0 to 255.
    pub rescale: Option<f64>,
    /// Mean and standard deviation of each colour, after the factor.
    pub normalise: Option<[[f64; 3]; 2]>,
}

/// A size to resize to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Height and width, whatever the image's were.
    Exactly([usize; 2]),
    /// The shorter side; the longer one in proportion.
    Shortest(usize),
}

/// How values between pixels are found, by Pillow's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// 0
    Nearest,
    /// 1
    Lanczos,
    /// 2
    Bilinear,
    /// 3
    Bicubic,
    /// 4
    Box,
    /// 5
    Hamming,
}

/// Why a `preprocessor_config.json` can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {found}; {expected}")]
pub struct SettingsError {
    /// The key.
    pub key: &'static str,
    /// What stands there.
    pub found: String,
    /// What must stand there.
    pub expected: &'static str,
}

/// Image processors of `transformers` whose steps are those below.
const PROCESSORS: [&str; 4] =
    ["ViTImageProcessor", "ViTFeatureExtractor", "BitImageProcessor", "DeiTImageProcessor"];
/// Largest side to resize to: attention over patches is quadratic.
const MAX_SIDE: u64 = 1 << 13;

impl ImageSettings {
    /// Reads the keys of a `preprocessor_config.json`. Those that are missing have the values that the
    /// named processor gives them.
    pub fn from_json(json: &Map<String, Value>) -> Result<Self, SettingsError> {
        let reader = Reader { json };
        let kind = ["image_processor_type", "feature_extractor_type"]
            .into_iter()
            .find_map(|key| json.get(key).and_then(Value::as_str))
            .unwrap_or("ViTImageProcessor");
        let kind = kind.strip_suffix("Fast").unwrap_or(kind);
        if !PROCESSORS.contains(&kind) {
            return Err(reader.wrong(
                "image_processor_type",
                "ViTImageProcessor, BitImageProcessor and DeiTImageProcessor are supported",
            ));
        }
        let (is_bit, is_deit) = (kind == "BitImageProcessor", kind == "DeiTImageProcessor");
        let crops = reader.flag("do_center_crop", is_bit || is_deit)?;
        let usual = if is_deit { Filter::Bicubic } else { Filter::Bilinear };
        let usual = if is_bit { Filter::Bicubic } else { usual };
        let usual_size = match (is_bit, is_deit) {
            (true, _) => Size::Shortest(224),
            (_, true) => Size::Exactly([256; 2]),
            _ => Size::Exactly([224; 2]),
        };
        let [mean, std] = if is_bit { CLIP } else { [[0.5; 3]; 2] };
        let resize = if reader.flag("do_resize", true)? {
            Some((reader.size("size", is_bit)?.unwrap_or(usual_size), reader.filter(usual)?))
        } else {
            None
        };
        let crop = if crops {
            match reader.size("crop_size", false)? {
                None => Some([224; 2]),
                Some(Size::Exactly(sides)) => Some(sides),
                Some(Size::Shortest(_)) => {
                    return Err(reader.wrong("crop_size", "it must be a height and a width"));
                }
            }
        } else {
            None
        };
        let factor = reader.number("rescale_factor", 1.0 / 255.0)?;
        Ok(Self {
            resize,
            crop,
            rescale: reader.flag("do_rescale", true)?.then_some(factor),
            normalise: if reader.flag("do_normalize", true)? {
                Some([reader.colours("image_mean", mean)?, reader.colours("image_std", std)?])
            } else {
                None
            },
        })
    }
}

/// Mean and standard deviation of the colours that CLIP was trained with (Radford et al. 2021).
const CLIP: [[f64; 3]; 2] =
    [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_58, 0.275_777_11]];

struct Reader<'a> {
    json: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &'static str, expected: &'static str) -> SettingsError {
        let found = self.json.get(key).map_or_else(|| "missing".to_owned(), ToString::to_string);
        SettingsError { key, found: found.chars().take(80).collect(), expected }
    }

    fn flag(&self, key: &'static str, usual: bool) -> Result<bool, SettingsError> {
        let Some(value) = self.value(key) else { return Ok(usual) };
        value.as_bool().ok_or_else(|| self.wrong(key, "it must be true or false"))
    }

    fn number(&self, key: &'static str, usual: f64) -> Result<f64, SettingsError> {
        let Some(value) = self.value(key) else { return Ok(usual) };
        let number = value.as_f64().filter(|n| n.is_finite() && *n > 0.0);
        number.ok_or_else(|| self.wrong(key, "it must be a positive number"))
    }

    /// One number for all colours, or one for each.
    fn colours(&self, key: &'static str, usual: [f64; 3]) -> Result<[f64; 3], SettingsError> {
        let wrong = || self.wrong(key, "it must hold a number for red, green and blue");
        let is_std = key == "image_std";
        let fits = |n: &f64| n.is_finite() && (!is_std || *n > 0.0);
        match self.value(key) {
            None => Ok(usual),
            Some(Value::Array(values)) => {
                let numbers: Option<Vec<f64>> = values.iter().map(|v| v.as_f64().filter(fits)).collect();
                numbers.and_then(|n| n.try_into().ok()).ok_or_else(wrong)
            }
            Some(value) => value.as_f64().filter(fits).map(|n| [n; 3]).ok_or_else(wrong),
        }
    }

    fn filter(&self, usual: Filter) -> Result<Filter, SettingsError> {
        let Some(value) = self.value("resample") else { return Ok(usual) };
        Ok(match value.as_u64() {
            Some(0) => Filter::Nearest,
            Some(1) => Filter::Lanczos,
            Some(2) => Filter::Bilinear,
            Some(3) => Filter::Bicubic,
            Some(4) => Filter::Box,
            Some(5) => Filter::Hamming,
            _ => return Err(self.wrong("resample", "it must be one of Pillow's filters, 0 to 5")),
        })
    }

    /// `{"height": …, "width": …}`, `{"shortest_edge": …}`, or a number: of both sides, or of the
    /// shorter one.
    fn size(&self, key: &'static str, is_shortest: bool) -> Result<Option<Size>, SettingsError> {
        let expected =
            "it must be `{\"height\": …, \"width\": …}`, `{\"shortest_edge\": …}` or a number of pixels";
        let wrong = || self.wrong(key, expected);
        let side = |value: &Value| {
            let side = value.as_u64().filter(|side| (1..=MAX_SIDE).contains(side));
            side.map(|side| side as usize).ok_or_else(wrong)
        };
        let Some(value) = self.value(key) else { return Ok(None) };
        let Some(object) = value.as_object() else {
            let side = side(value)?;
            return Ok(Some(if is_shortest { Size::Shortest(side) } else { Size::Exactly([side; 2]) }));
        };
        match (object.len(), object.get("height"), object.get("width"), object.get("shortest_edge")) {
            (2, Some(height), Some(width), None) => Ok(Some(Size::Exactly([side(height)?, side(width)?]))),
            (1, None, None, Some(shortest)) => Ok(Some(Size::Shortest(side(shortest)?))),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Result<ImageSettings, SettingsError> {
        let Value::Object(json) = json else { panic!("an object") };
        ImageSettings::from_json(&json)
    }

    #[test]
    fn what_is_missing_has_the_values_of_the_named_processor() {
        let vit = read(json!({})).expect("settings");
        assert_eq!(vit.resize, Some((Size::Exactly([224; 2]), Filter::Bilinear)));
        assert_eq!((vit.crop, vit.normalise), (None, Some([[0.5; 3]; 2])));
        let bit = read(json!({"image_processor_type": "BitImageProcessor", "size": 256})).expect("settings");
        assert_eq!(bit.resize, Some((Size::Shortest(256), Filter::Bicubic)));
        assert_eq!(bit.crop, Some([224; 2]));
    }

    #[test]
    fn what_can_not_be_is_refused_by_key() {
        let key = |json| read(json).expect_err("refused").key;
        assert_eq!(key(json!({"image_processor_type": "CLIPImageProcessor"})), "image_processor_type");
        assert_eq!(key(json!({"size": {"longest_edge": 3}})), "size");
        assert_eq!(key(json!({"size": 1_000_000})), "size");
        assert_eq!(key(json!({"resample": 9})), "resample");
        assert_eq!(key(json!({"image_std": [1.0, 0.0, 1.0]})), "image_std");
    }
}
