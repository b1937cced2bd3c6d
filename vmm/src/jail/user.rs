//! The user for `--user`, looked up in the host's files of users and groups.
//!
//! libc would also ask network services, with libraries that it loads. nvmm is one static file, and loads none: a user who is only known
//! there has to be given as a number.

use std::fs;

use rustix::process::{Gid, Uid};

use super::JailError;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// A user to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub number: Uid,
    pub group: Gid,
    /// All groups of the user, such as kvm.
    pub groups: Vec<Gid>,
}

impl User {
    /// Finds `USER[:GROUP]`.
    pub(super) fn find(given: &str) -> Result<Self, JailError> {
        // With numbers, the files need not be readable. Names in them that are not UTF-8 don't matter.
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Self::parse(given, &read(USERS), &read(GROUPS))
            .map_err(|why| JailError::Name { given: given.to_owned(), why })
    }

    fn parse(given: &str, users: &str, groups: &str) -> Result<Self, String> {
        let (user, group) = match given.split_once(':') {
            None => (given, None),
            Some((user, group)) => (user, Some(group)),
        };
        let found = users.lines().map(Entry::of).find(|entry| entry.is(user));
        let number = match &found {
            Some(entry) => entry.number(2),
            None => number(user),
        };
        let number = number.ok_or_else(|| format!("there is no user '{user}' in {USERS}"))?;
        if number == 0 {
            return Err("this is root, who is in no jail; give another user".to_owned());
        }
        let own = match group {
            None => found.as_ref().and_then(|entry| entry.number(3)).ok_or_else(|| {
                format!(
                    "user {user} is not in {USERS}, which would tell its group; give that, too: {user}:GROUP"
                )
            })?,
            Some(group) => groups
                .lines()
                .map(Entry::of)
                .find(|entry| entry.is(group))
                .map_or_else(|| self::number(group), |entry| entry.number(2))
                .ok_or_else(|| format!("there is no group '{group}' in {GROUPS}"))?,
        };
        let name = found.as_ref().map(|entry| entry.field(0));
        let others = groups
            .lines()
            .map(Entry::of)
            .filter(|entry| name.is_some_and(|name| entry.field(3).split(',').any(|member| member == name)));
        let mut all: Vec<_> = [own].into_iter().chain(others.filter_map(|entry| entry.number(2))).collect();
        all.sort_unstable();
        all.dedup();
        Ok(Self {
            number: Uid::from_raw(number),
            group: Gid::from_raw(own),
            groups: all.into_iter().map(Gid::from_raw).collect(),
        })
    }
}

/// A line of fields separated by colons, the first of which is a name: passwd(5), group(5).
struct Entry<'a>(Vec<&'a str>);

impl<'a> Entry<'a> {
    fn of(line: &'a str) -> Self {
        Self(line.split(':').collect())
    }

    fn field(&self, at: usize) -> &'a str {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn number(&self, at: usize) -> Option<u32> {
        number(self.field(at))
    }

    /// Returns whether `given` is the name or the number of this entry.
    fn is(&self, given: &str) -> bool {
        self.field(0) == given || number(given).is_some_and(|given| self.number(2) == Some(given))
    }
}

/// Parses the number of a user or a group. The kernel uses the largest number for none.
fn number(text: &str) -> Option<u32> {
    let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_one && *number != u32::MAX)
}

#[cfg(test)]
#[path = "user_test.rs"]
mod tests;
