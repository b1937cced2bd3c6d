use super::*;

/// Sends a viewer's `answers`, byte by byte, and returns the server's output.
fn told(password: Option<&Password>, answers: &[&[u8]]) -> (Vec<u8>, Result<bool, String>) {
    let mut output = Vec::new();
    let mut handshake = Handshake::new(&mut output);
    assert_eq!(output, b"RFB 003.008\n");
    output.clear();
    for answer in answers {
        // A response is for the challenge at the end of the output.
        let answer = match (answer.len(), password) {
            (0, Some(password)) => password.respond(output.last_chunk().unwrap()).to_vec(),
            _ => answer.to_vec(),
        };
        for len in 0..answer.len() {
            match handshake.take(&answer[..len], password, &mut output) {
                Ok(progress) => assert_eq!(progress, Progress::Waits),
                Err(error) => return (output, Err(error.to_string())),
            }
        }
        match handshake.take(&answer, password, &mut output) {
            Ok(Progress::Took(len)) => assert_eq!(len, answer.len()),
            Ok(Progress::Done(len)) => {
                assert_eq!(len, answer.len());
                return (output, Ok(true));
            }
            Ok(Progress::Waits) => panic!("it waits after {answer:?}"),
            Err(error) => return (output, Err(error.to_string())),
        }
    }
    (output, Ok(false))
}

#[test]
fn each_version_has_its_way_in_without_a_password() {
    for (version, answers, expected) in [
        (b"RFB 003.003\n", &[&[1][..]][..], &[0, 0, 0, 1][..]),
        (b"RFB 003.005\n", &[&[0]], &[0, 0, 0, 1]),
        (b"RFB 003.007\n", &[&[1], &[1]], &[1, 1]),
        (b"RFB 003.008\n", &[&[1], &[1]], &[1, 1, 0, 0, 0, 0]),
        (b"RFB 003.889\n", &[&[1], &[1]], &[1, 1, 0, 0, 0, 0]),
    ] {
        let answers: Vec<_> = [&version[..]].into_iter().chain(answers.iter().copied()).collect();
        assert_eq!(told(None, &answers), (expected.to_vec(), Ok(true)), "{answers:?}");
    }
}

#[test]
fn each_version_asks_for_the_password() {
    let password = Password::new(b"secret");
    for (version, choice, before, after) in [
        (b"RFB 003.003\n", None, &[0, 0, 0, 2][..], &[][..]),
        (b"RFB 003.007\n", Some(&[2_u8][..]), &[1, 2], &[]),
        (b"RFB 003.008\n", Some(&[2]), &[1, 2], b"\0\0\0\x15the password is wrong"),
    ] {
        let with = |response: &'static [u8]| -> Vec<&[u8]> {
            [&version[..]].into_iter().chain(choice).chain([response, &[1]]).collect()
        };
        let (output, end) = told(Some(&password), &with(&[]));
        assert_eq!(end, Ok(true));
        assert_eq!(output.len(), before.len() + 16 + 4);
        assert!(output.starts_with(before) && output.ends_with(&[0; 4]), "{output:?}");

        let (output, end) = told(Some(&password), &with(&[7; 16]));
        assert_eq!(end, Err("its password is wrong".to_owned()));
        assert_eq!(output[before.len() + 16..], [&[0, 0, 0, 1], after].concat());
    }
}

#[test]
fn viewers_are_admitted_only_with_the_right_answers() {
    let password = Password::new(b"secret");
    let v8 = &b"RFB 003.008\n"[..];
    let no_version = "it does not speak VNC's protocol";
    for (password, answers, why) in [
        (None, &[&b"GET / HTTP/1.1\r\n\r\n"[..]][..], no_version),
        (None, &[b"\0"], no_version),
        (None, &[b"RFB 003.002\n"], no_version),
        (None, &[b"RFB 004.000\n"], no_version),
        (None, &[b"RFB 003.x08\n"], no_version),
        (None, &[b"RFB 003.008\r"], no_version),
        (None, &[v8, &[2]], "it wants the security type 2, which it was not offered"),
        (Some(&password), &[v8, &[1]], "it wants the security type 1, which it was not offered"),
        (Some(&password), &[v8, &[0]], "it wants the security type 0, which it was not offered"),
        (Some(&password), &[v8, &[19]], "it wants the security type 19, which it was not offered"),
    ] {
        assert_eq!(told(password, answers).1, Err(why.to_owned()), "{answers:?}");
    }
}

#[test]
fn a_user_has_more_time_than_a_program() {
    let password = Password::new(b"secret");
    let mut output = Vec::new();
    let mut handshake = Handshake::new(&mut output);
    assert_eq!(handshake.patience(), PATIENCE);
    handshake.take(b"RFB 003.003\n", Some(&password), &mut output).unwrap();
    assert_eq!(handshake.patience(), TYPING);
}
