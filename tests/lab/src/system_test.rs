use super::*;

#[test]
fn the_image_has_the_kernel_s_modules_and_no_kernel() {
    let kernel = Kernel { name: "cloud", path: "/lab/linux/boot/vmlinuz-6.1.0-1-cloud-amd64".into() };
    let here = apt::Here { release: "bookworm".to_owned(), mirror: "http://mirror/debian/".to_owned() };
    let arguments = arguments(&kernel, &here).unwrap();
    let line =
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror/debian/ bookworm main";
    assert_eq!(arguments[arguments.len() - 3..], ["bookworm", "-", line]);
    for hook in ["copy-in '/lab/linux/lib/modules' /usr/lib", "chroot \"$1\" depmod 6.1.0-1-cloud-amd64"] {
        assert!(arguments.contains(&format!("--customize-hook={hook}")), "{arguments:?}");
    }
    assert!(arguments.iter().any(|argument| argument.ends_with("chroot \"$1\" chpasswd")), "{arguments:?}");
    assert!(!arguments.iter().any(|argument| argument.contains("linux-image")));
}

#[test]
fn the_first_error_is_the_cause() {
    let said = "mmdebstrap bookworm -: exit status: 25\nI: running apt-get update...\nE: Failed to fetch http://mirror/\nE: mmdebstrap failed to run";
    assert_eq!(first_error(said), Some("Failed to fetch http://mirror/"));
    assert_eq!(first_error("starting mmdebstrap"), None);
}
