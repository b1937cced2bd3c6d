use super::*;

#[test]
fn the_system_has_a_kernel_with_the_drivers_of_every_disk_and_of_amds_kvm() {
    let here = apt::Here { release: "bookworm".to_owned(), mirror: "http://mirror/debian/".to_owned() };
    let arguments = arguments(&here, Path::new("/lab"));
    let has = |argument: &str| arguments.iter().any(|one| one == argument);
    // kvm_amd does not load without ccp.
    for driver in ["ata/*", "block/virtio*", "crypto/ccp/*", "virtio/*"] {
        assert!(
            has(&format!("--dpkgopt=path-include=/lib/modules/*/kernel/drivers/{driver}")),
            "{arguments:?}"
        );
    }
    assert!(has("--customize-hook=upload '/lab/grub.cfg' /boot/grub/grub.cfg"), "{arguments:?}");
    assert_eq!(arguments[arguments.len() - 3..][..2], ["bookworm", "-"]);
}

/// GRUB searches for the root by the same name as in the file system and the menu.
#[test]
fn the_root_has_one_name() {
    assert!(MENU.contains(&format!("root=LABEL={LABEL} ")));
    assert!(EARLY.contains(&format!("--label {LABEL} ")));
    let blocks: u64 = ROOT_BLOCKS.parse().unwrap();
    assert_eq!(blocks * 4096, ROOT_MIB * MIB);
}
