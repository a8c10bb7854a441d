//! Names of labels in paths.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

/// What a name begins with that is written in the characters of older Prometheus: `U__` and the
/// name, where `__` is an underscore and `_2e_` a character by its number.
const ESCAPED: &str = "U__";

/// The name in a path such as `/api/v1/label/job/values`; an error is how it is written where
/// that is no text.
pub(super) fn label_name(path: &str) -> Result<String, String> {
    let segment = path.rsplit('/').nth(1).unwrap_or_default();
    let decoded = percent_decode_str(segment);
    match decoded.clone().decode_utf8() {
        Ok(name) => Ok(unescaped(&name).unwrap_or_else(|| name.into_owned())),
        Err(_) => Err(decoded.fold(String::new(), |mut shown, byte| {
            match byte {
                b' '..=b'~' => shown.push(char::from(byte)),
                // Writing to a text can't fail.
                _ => {
                    let _ = write!(shown, "\\x{byte:02x}");
                }
            }
            shown
        })),
    }
}

/// The name that is written with escapes; `None` where it isn't, or not rightly.
fn unescaped(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix(ESCAPED)?;
    let mut out = String::with_capacity(rest.len());
    while let Some((plain, behind)) = rest.split_once('_') {
        out.push_str(plain);
        let (code, behind) = behind.split_once('_')?;
        if code.is_empty() {
            out.push('_');
        } else {
            let code = u32::from_str_radix(code, 16).ok()?;
            out.push(char::from_u32(code)?);
        }
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_written_in_older_characters() {
        let f = |segment: &str, expected: Result<&str, &str>| {
            let name = label_name(&format!("/api/v1/label/{segment}/values"));
            let name = name.as_deref().map_err(String::as_str);
            assert_eq!(name, expected, "{segment}");
        };
        f("job", Ok("job"));
        f("service.name", Ok("service.name"));
        f("service%2ename%2Fx", Ok("service.name/x"));
        f("U__service_2e_name", Ok("service.name"));
        f("U__a__b", Ok("a_b"));
        f("U___1F600_", Ok("😀"));
        f("U__", Ok(""));
        f("U", Ok("U"));
        // What isn't written rightly is the name itself.
        f("U__a_b", Ok("U__a_b"));
        f("U__a_zz_", Ok("U__a_zz_"));
        f("U__a_110000_", Ok("U__a_110000_"));
        f("a%ff", Err("a\\xff"));
    }
}
