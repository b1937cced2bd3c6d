use super::*;

const FLUSH: u64 = 1 << VIRTIO_BLK_F_FLUSH;
const CONFIG_WCE: u64 = 1 << VIRTIO_BLK_F_CONFIG_WCE;

#[test]
fn begins_as_the_mode_and_the_features_say() {
    for (mode, features, writeback, write_is_stable) in [
        (CacheMode::Writeback, 0, false, true),
        (CacheMode::Writeback, FLUSH, true, false),
        (CacheMode::Writeback, CONFIG_WCE, false, true),
        (CacheMode::Writeback, CONFIG_WCE | FLUSH, true, false),
        (CacheMode::Writethrough, 0, false, true),
        (CacheMode::Writethrough, FLUSH, false, true),
        (CacheMode::Writethrough, CONFIG_WCE, false, true),
        (CacheMode::Writethrough, CONFIG_WCE | FLUSH, false, true),
        (CacheMode::Unsafe, 0, false, false),
        (CacheMode::Unsafe, FLUSH, true, false),
        (CacheMode::Unsafe, CONFIG_WCE, false, false),
        (CacheMode::Unsafe, CONFIG_WCE | FLUSH, true, false),
    ] {
        let cache = WriteCache::new(mode);
        assert_eq!(cache.writeback(), mode != CacheMode::Writethrough);
        for _ in 0..2 {
            cache.agree(features);
            assert_eq!(cache.writeback(), writeback, "{mode:?} {features:#x}");
            assert_eq!(cache.write_is_stable(), write_is_stable, "{mode:?} {features:#x}");
            assert_eq!(cache.flush_is_needed(), mode != CacheMode::Unsafe);
            assert_eq!(WriteCache::is_writable(features), features & CONFIG_WCE != 0);
            for written in [true, false] {
                cache.set_writeback(written);
                assert_eq!(cache.writeback(), written);
                assert_eq!(cache.write_is_stable(), mode != CacheMode::Unsafe && !written);
            }
            cache.reset();
            assert_eq!(cache.writeback(), mode != CacheMode::Writethrough);
        }
    }
}
