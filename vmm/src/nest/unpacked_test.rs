use std::collections::VecDeque;

use super::*;

/// A log like /dev/kmsg: each read returns a record or an error.
struct Log(VecDeque<Result<&'static [u8], io::ErrorKind>>);

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let record = self.0.pop_front().unwrap_or(Err(io::ErrorKind::WouldBlock))?;
        buffer[..record.len()].copy_from_slice(record);
        Ok(record.len())
    }
}

const BOOT: &[u8] = b"6,1,0,-;Trying to unpack rootfs image as initramfs...\n";

#[test]
fn a_write_error_is_found_by_either_message() {
    for (record, said) in [
        (&b"0,211,900000,-;Initramfs unpacking failed: write error\n"[..], FAILURES[0]),
        (b"6,211,900000,c;rootfs image is not initramfs (write error); looks like an initrd\n", FAILURES[1]),
    ] {
        let log = Log([Ok(BOOT), Err(io::ErrorKind::BrokenPipe), Ok(record), Ok(BOOT)].into());
        assert_eq!(find(log), Some(said));
    }
}

#[test]
fn no_other_log_reports_one() {
    for record in [
        // Data after the archives may be irrelevant.
        &b"0,211,1,-;Initramfs unpacking failed: junk within compressed archive\n"[..],
        // From user space.
        b"8,211,1,-;Initramfs unpacking failed: write error\n",
        b"0,211,1,-;say: Initramfs unpacking failed: write error\n",
        b"Initramfs unpacking failed: write error",
        b";Initramfs unpacking failed: write error",
        b"",
    ] {
        assert_eq!(find(Log([Ok(BOOT), Ok(record)].into())), None, "{}", String::from_utf8_lossy(record));
    }
}
