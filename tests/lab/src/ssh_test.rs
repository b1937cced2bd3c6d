use super::*;

#[test]
fn the_libraries_and_their_loader_are_found() {
    let ldd = "\tlinux-vdso.so.1 (0x00007ffd8a5f2000)\n\
               \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f6b1c3a0000)\n\
               \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6b1c1bf000)\n\
               \t/lib64/ld-linux-x86-64.so.2 (0x00007f6b1c4f0000)\n";
    let expected =
        ["/lib/x86_64-linux-gnu/libz.so.1", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
    assert_eq!(libraries(ldd), expected.map(PathBuf::from));
}
