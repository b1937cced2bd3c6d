use super::*;

const USERS: &str = "root:x:0:0::/root:/bin/sh\nguest:x:1000:1001::/:/bin/false\n12:x:1012:1012::/:/bin/false\n# no:entry\n\n";
const GROUPS: &str =
    "root:x:0:\nkvm:x:108:other,guest\ndisk:x:6:guests\nguest:x:1001:guest\nlast:x:109:guest";

fn user(given: &str) -> Result<(u32, u32, Vec<u32>), String> {
    let user = User::parse(given, USERS, GROUPS)?;
    Ok((user.number.as_raw(), user.group.as_raw(), user.groups.iter().map(|group| group.as_raw()).collect()))
}

#[test]
fn a_user_has_all_its_groups() {
    assert_eq!(user("guest"), Ok((1000, 1001, vec![108, 109, 1001])));
    assert_eq!(user("1000"), user("guest"));
    assert_eq!(user("guest:kvm"), Ok((1000, 108, vec![108, 109, 1001])));
    assert_eq!(user("guest:7"), Ok((1000, 7, vec![7, 108, 109, 1001])));
}

#[test]
fn a_number_needs_no_entry_and_a_name_that_is_one_comes_first() {
    assert_eq!(user("65534:65533"), Ok((65534, 65533, vec![65533])));
    assert_eq!(user("12"), Ok((1012, 1012, vec![1012])));
}

#[test]
fn unknown_users_are_refused() {
    for (given, why) in [
        ("nobody", "there is no user 'nobody' in /etc/passwd"),
        ("", "there is no user '' in /etc/passwd"),
        ("guest:none", "there is no group 'none' in /etc/group"),
        ("guest:", "there is no group '' in /etc/group"),
        (
            "65534",
            "user 65534 is not in /etc/passwd, which would tell its group; give that, too: 65534:GROUP",
        ),
        ("4294967295:1", "there is no user '4294967295' in /etc/passwd"),
        ("+5:1", "there is no user '+5' in /etc/passwd"),
        ("root", "this is root, who is in no jail; give another user"),
        ("0:1000", "this is root, who is in no jail; give another user"),
    ] {
        assert_eq!(user(given), Err(why.to_owned()), "{given}");
    }
}
