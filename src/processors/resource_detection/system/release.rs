//! The operating system: which distribution it is, and its version.

use super::super::machine::ObservedMachine;
use super::text_of;

/// What the files under `/etc` and the kernel say.
#[derive(Debug)]
pub(super) struct Release {
    /// `/etc/os-release`, or `/usr/lib/os-release`.
    os_release: Vec<(String, String)>,
    /// The distribution and its version, where another file says it better: the version of
    /// `os-release` lacks the minor number on Debian and Red Hat.
    platform: Option<(String, Option<String>)>,
    /// The kernel's name, the host's, release, version and machine.
    uname: [String; 5],
}

impl Release {
    /// May block.
    pub(super) fn read(machine: &ObservedMachine) -> Self {
        let os_release = text_of(machine, "etc/os-release");
        let os_release = os_release.or_else(|| text_of(machine, "usr/lib/os-release"));
        let names = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        Self {
            os_release: assignments(&os_release.unwrap_or_default()),
            platform: platform(machine),
            uname: [
                text(names.sysname()),
                text(names.nodename()),
                text(names.release()),
                text(names.version()),
                text(names.machine()),
            ],
        }
    }

    /// The distribution, such as `debian`.
    pub(super) fn platform(&self) -> Option<String> {
        let platform = self.platform.as_ref().map(|(name, _)| name.clone());
        platform.or_else(|| self.stated("ID"))
    }

    /// The distribution's version, such as `12.8`.
    pub(super) fn version(&self) -> Option<String> {
        match &self.platform {
            Some((_, version)) => version.clone(),
            None => self.stated("VERSION_ID"),
        }
    }

    /// The distribution and the kernel in words.
    pub(super) fn description(&self) -> String {
        let uname = self.uname.join(" ");
        let name = self.stated("NAME");
        let version = self.stated("VERSION").or_else(|| self.stated("VERSION_ID"));
        let words = match name.zip(version) {
            Some((name, version)) => Some(format!("{name} {version}")),
            None => self.stated("PRETTY_NAME"),
        };
        match words {
            Some(words) => format!("{words} ({uname})"),
            None => uname,
        }
    }

    /// The build of a distribution that has such, and otherwise the kernel's release.
    pub(super) fn build(&self) -> String {
        let [_, _, kernel, ..] = &self.uname;
        self.stated("BUILD_ID").unwrap_or_else(|| kernel.clone())
    }

    fn stated(&self, key: &str) -> Option<String> {
        let mut all = self.os_release.iter();
        let (_, value) = all.find(|(own, _)| own == key)?;
        Some(value.clone()).filter(|value| !value.is_empty())
    }
}

/// The distribution and its version by the files that each of them has, in the order in which the
/// Collector looks for them.
fn platform(machine: &ObservedMachine) -> Option<(String, Option<String>)> {
    let named = |name: &str, version: Option<String>| Some((name.to_owned(), version));
    let lsb = || {
        let lsb = assignments(&text_of(machine, "etc/lsb-release").unwrap_or_default());
        move |key: &str| {
            let mut all = lsb.iter();
            let (_, value) = all.find(|(own, _)| own == key)?;
            Some(value.clone()).filter(|value| !value.is_empty())
        }
    };
    if let Some(text) = text_of(machine, "etc/oracle-release") {
        return named("oracle", version_of_red_hat(&text));
    }
    if let Some(text) = text_of(machine, "etc/debian_version") {
        let lsb = lsb();
        let id = lsb("DISTRIB_ID").unwrap_or_default();
        let derived = match id.as_str() {
            "Ubuntu" => Some("ubuntu"),
            "LinuxMint" => Some("linuxmint"),
            "Kylin" | "uos" | "Deepin" => Some(id.as_str()),
            _ => None,
        };
        if let Some(name) = derived {
            return named(name, lsb("DISTRIB_RELEASE"));
        }
        let raspbian = machine.root.join("usr/bin/raspi-config").exists();
        let name = if raspbian { "raspbian" } else { "debian" };
        return named(name, first_line(&text));
    }
    for file in ["etc/redhat-release", "etc/system-release"] {
        if let Some(text) = text_of(machine, file) {
            let words = text.to_lowercase();
            let name = match words.contains("red hat") {
                true => "redhat",
                false => words.split_whitespace().next().unwrap_or_default(),
            };
            return named(name, version_of_red_hat(&text));
        }
    }
    if text_of(machine, "etc/arch-release").is_some() {
        return named("arch", lsb()("DISTRIB_RELEASE"));
    }
    let text = text_of(machine, "etc/alpine-release")?;
    named("alpine", first_line(&text))
}

/// The version in `CentOS Stream release 9`.
fn version_of_red_hat(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    if text.contains("rawhide") {
        return Some("rawhide".to_owned());
    }
    let (_, rest) = text.split_once("release ")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    let version = &rest[..end.unwrap_or(rest.len())];
    (!version.is_empty()).then(|| version.to_owned())
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Reads the assignments of a shell, of which the last of a name counts.
fn assignments(text: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim) {
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (key, value) = (key.trim(), unquoted(value.trim()));
        match all.iter_mut().find(|(own, _)| own == key) {
            Some((_, own)) => *own = value,
            None if !key.is_empty() => all.push((key.to_owned(), value)),
            None => {}
        }
    }
    all
}

/// Without the quotes around it and the backslashes in front of what the shell would read.
fn unquoted(text: &str) -> String {
    let inner = ['"', '\''].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?;
        inner.strip_suffix(quote)
    });
    let mut unquoted = String::new();
    let mut letters = inner.unwrap_or(text).chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = letters.next_if(|next| letter == '\\' && "$\"'\\`".contains(*next));
        unquoted.push(escaped.unwrap_or(letter));
    }
    unquoted
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_distribution_is_known_by_its_files() {
        let f = |files: &[(&str, &str)], name: Option<&str>, version: Option<&str>| {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let mut machine = ObservedMachine::real();
            machine.root = root.path().to_owned();
            let release = Release::read(&machine);
            assert_eq!(release.platform().as_deref(), name, "{files:?}");
            assert_eq!(release.version().as_deref(), version, "{files:?}");
        };
        let os_release = ("etc/os-release", "ID=\"own\"\nVERSION_ID='1.2'\n");
        f(&[os_release], Some("own"), Some("1.2"));
        f(&[("usr/lib/os-release", "ID=own\n")], Some("own"), None);
        f(
            &[os_release, ("etc/debian_version", "12.8\n")],
            Some("debian"),
            Some("12.8"),
        );
        f(
            &[
                ("etc/debian_version", "trixie/sid\n"),
                (
                    "etc/lsb-release",
                    "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24.04\n",
                ),
            ],
            Some("ubuntu"),
            Some("24.04"),
        );
        f(
            &[
                ("etc/debian_version", "12.8\n"),
                ("usr/bin/raspi-config", ""),
            ],
            Some("raspbian"),
            Some("12.8"),
        );
        let rocky = "Rocky Linux release 9.4 (Blue Onyx)\n";
        f(&[("etc/redhat-release", rocky)], Some("rocky"), Some("9.4"));
        let red_hat = "Red Hat Enterprise Linux release 9.4 (Plow)\n";
        f(
            &[("etc/redhat-release", red_hat)],
            Some("redhat"),
            Some("9.4"),
        );
        f(
            &[os_release, ("etc/alpine-release", "3.20.3\n")],
            Some("alpine"),
            Some("3.20.3"),
        );
        f(&[], None, None);
    }

    #[test]
    fn assignments_are_read_as_the_shell_reads_them() {
        let text = "# A=0\nA=1\n B = \"x \\\"y\\\" \\$z\" \nC='q'\nno assignment\nA=2\nD=\"\n=5\n";
        let expected = [("A", "2"), ("B", "x \"y\" $z"), ("C", "q"), ("D", "\"")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(assignments(text), expected);
    }
}
