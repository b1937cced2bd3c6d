use std::{fs, os::unix::fs::MetadataExt, process::Command};

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng},
};

use super::super::{
    super::{Disk, Extent},
    Qcow2Options,
    testing::*,
};

impl Images {
    /// The space that an image uses, in bytes.
    fn space(&self, image: &str) -> u64 {
        fs::metadata(self.path(image)).unwrap().blocks() * 512
    }

    /// Returns whether the file system of the images can free parts of files.
    fn have_holes(&self) -> bool {
        fs::write(self.path("probe"), vec![1; 1 << 20]).unwrap();
        let punched = Command::new("fallocate").args(["-p", "-l", "1M"]).arg(self.path("probe")).status();
        let have = punched.is_ok_and(|status| status.success()) && self.space("probe") == 0;
        fs::remove_file(self.path("probe")).unwrap();
        if !have {
            eprintln!("skipped: the space that images take: files have no holes here");
        }
        have
    }
}

/// The ranges of a disk that are known to be zeros, run by run.
fn zeros(disk: &dyn Disk) -> u64 {
    let (mut offset, mut zeros) = (0, 0);
    while offset < disk.size() {
        let Extent { len, is_zero } = disk.extent_at(offset, disk.size() - offset).unwrap();
        assert!(len > 0 && offset + len <= disk.size());
        if is_zero {
            zeros += len;
            let bytes = read(disk, usize::try_from(offset).unwrap(), usize::try_from(len).unwrap()).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0), "{len} at {offset}");
        }
        offset += len;
    }
    zeros
}

/// Creates and removes files, as a guest does with discard=on, on images of each version, with backing files and without.
#[test]
fn space_comes_back() {
    let Some(images) = Images::new() else { return };
    let holes = images.have_holes();
    let before = contents((2 << 20) + 1536);
    fs::write(images.path("base"), &before).unwrap();
    for (seed, how) in (0..).zip([
        &["create -f qcow2 -o cluster_size=4k image {len}"][..],
        &["create -f qcow2 -o cluster_size=64k,compat=0.10 image {len}"],
        &["create -f qcow2 -o cluster_size=512,refcount_bits=1 image {len}"],
        &["convert -f raw -O qcow2 -o cluster_size=4k base image"],
        &["convert -f raw -O qcow2 -o cluster_size=4k -c base image"],
        &["create -f qcow2 -o cluster_size=4k -b base -F raw image {len}"],
        &["create -f qcow2 -o cluster_size=4k,compat=0.10 -b base -F raw image {len}"],
        &["convert -f raw -O qcow2 -o cluster_size=4k base image", "snapshot -c old image"],
    ]) {
        for step in how {
            images.qemu_img(&step.replace("{len}", &before.len().to_string()));
        }
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let how = how.join(" ");
        let mut twin = if how.contains("base") { before.clone() } else { vec![0; before.len()] };
        let disk = images.open("image", &Qcow2Options::default());
        for round in 0..80 {
            let (offset, len) = sectors(&mut random, twin.len(), 300);
            let range = offset as u64..(offset + len) as u64;
            let zeroes = round % 5 == 1;
            match round % 5 {
                0 => disk.discard(range).unwrap(),
                1 => disk.write_zeroes(range, random.random()).unwrap(),
                _ => write(&disk, offset, &vec![random.random(); len]).unwrap(),
            }
            let found = read(&disk, 0, twin.len()).unwrap();
            let (part, rest) = (offset..offset + len, offset + len..twin.len());
            assert!(found[..offset] == twin[..offset] && found[rest.clone()] == twin[rest], "{how}");
            let (new, old) = (&found[part.clone()], &twin[part.clone()]);
            assert!(!zeroes || new.iter().all(|&byte| byte == 0), "{how}");
            // A discard leaves the old data, or zeros.
            let is_either = |(new, old): (&u8, &u8)| new == old || *new == 0;
            assert!(round % 5 != 0 || new.iter().zip(old).all(is_either), "{how}");
            twin[part.clone()].copy_from_slice(&found[part]);
            zeros(&disk);
        }
        disk.flush().unwrap();
        let full = images.space("image");
        let len = before.len() as u64;
        disk.discard(0..len).unwrap();
        disk.flush().unwrap();
        let can = !(how.contains("0.10") && how.contains("-b"));
        if can && holes && !how.contains("snapshot") {
            // Files have larger blocks than 512 bytes.
            let most = if how.contains("=512") { full / 2 } else { full / 4 };
            assert!(images.space("image") < most, "{how}: {full}, {}", images.space("image"));
        }
        if can {
            assert_eq!(zeros(&disk), if how.contains("-b") { zeros(&disk).max(1) } else { len }, "{how}");
        }
        let twin = read(&disk, 0, twin.len()).unwrap();
        drop(disk);
        images.check("image", &twin);
    }
}

/// Freeing or zeroing unallocated clusters creates no tables.
#[test]
fn unallocated_clusters_stay_unallocated() {
    let Some(images) = Images::new() else { return };
    for compat in ["0.10", "1.1"] {
        images.qemu_img(&format!("create -f qcow2 -o compat={compat},cluster_size=4k image 1G"));
        let before = fs::read(images.path("image")).unwrap();
        let disk = images.open("image", &Qcow2Options::default());
        disk.discard(0..1 << 30).unwrap();
        for unmap in [false, true] {
            disk.write_zeroes(512..1 << 30, unmap).unwrap();
        }
        disk.flush().unwrap();
        assert_eq!(disk.extent_at(512, 1 << 20).unwrap(), Extent { len: 1 << 20, is_zero: true });
        drop(disk);
        assert!(fs::read(images.path("image")).unwrap() == before);
    }
}

#[test]
fn blocks_are_clusters() {
    let Some(images) = Images::new() else { return };
    for (cluster, optimal) in [(512, 4096), (65536, 65536), (2 << 20, 2 << 20)] {
        images.qemu_img(&format!("create -f qcow2 -o cluster_size={cluster} image 4M"));
        let size = images.open("image", &Qcow2Options::default()).block_size();
        assert_eq!((size.logical, size.physical, size.optimal, size.discard), (512, 4096, optimal, cluster));
    }
}

/// Threads that read and write while clusters are allocated and freed find their own data.
#[test]
fn discards_beside_writes() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 -o cluster_size=4k image 8M");
    let disk = images.open("image", &Qcow2Options::default());
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let disk = &disk;
            scope.spawn(move || {
                let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[thread; 32]);
                let start = usize::from(thread) * (2 << 20);
                for round in 0..150 {
                    let (offset, len) = sectors(&mut random, 2 << 20, 60);
                    let offset = start + offset;
                    let value = random.random_range(1..=u8::MAX);
                    write(disk, offset, &vec![value; len]).unwrap();
                    assert!(read(disk, offset, len).unwrap() == vec![value; len]);
                    let range = offset as u64..(offset + len) as u64;
                    match round % 3 {
                        0 => disk.discard(range).unwrap(),
                        1 => disk.write_zeroes(range, true).unwrap(),
                        _ => disk.flush().unwrap(),
                    }
                    let expected = if round % 3 == 2 { value } else { 0 };
                    let found = read(disk, offset, len).unwrap();
                    assert!(found.iter().all(|&byte| byte == expected || round % 3 == 0 && byte == value));
                }
            });
        }
    });
    let twin = read(&disk, 0, 8 << 20).unwrap();
    drop(disk);
    images.check("image", &twin);
}
