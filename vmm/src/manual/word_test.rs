use super::*;

#[test]
fn endings_are_simple() {
    for (words, one) in [
        ("run runs running", "run"),
        ("save saves saved saving", "sav"),
        ("status statuses", "status"),
        ("nest nests nested nesting", "nest"),
        ("switch switches switched", "switch"),
        ("kill kills killed killing", "kil"),
        ("image images imaging", "imag"),
        ("bus", "bus"),
        ("access", "acces"),
        ("l2 vcpus0", "l2 vcpus0"),
    ] {
        assert_eq!(stems(words), one.split(' ').map(str::to_owned).collect(), "{words}");
    }
}

#[test]
fn words_are_whole() {
    let is = |text: &str, words: &[&str]| {
        assert_eq!(stems(text), words.iter().map(|word| (*word).to_owned()).collect(), "{text}");
    };
    is("SIGUSR2, 128 and 6.12.", &["sigusr2", "128", "and", "6.12"]);
    is("kvm_intel.nested=N", &["kvm", "intel", "nest", "n"]);
    is("/dev/kvm: the guest's", &["dev", "kvm", "the", "guest"]);
}

#[test]
fn a_question_has_a_subject() {
    let is = |question: &str, words: &[&str]| {
        assert_eq!(wanted(question), words.iter().map(|word| (*word).to_owned()).collect(), "{question}");
    };
    is("How do I run it?", &["run"]);
    is("what does exit code 12 mean", &["exit", "status", "12"]);
    is("code 77", &["status", "77"]);
    is("a code for the guest", &["cod", "guest"]);
    is("why can't I?", &[]);
}
