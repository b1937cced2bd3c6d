use super::*;

#[test]
fn begins_as_the_mode_and_the_driver_say() {
    for (mode, flushes, writeback, write_is_stable) in [
        (CacheMode::Writeback, false, false, true),
        (CacheMode::Writeback, true, true, false),
        (CacheMode::Writethrough, false, false, true),
        (CacheMode::Writethrough, true, false, true),
        (CacheMode::Unsafe, false, false, false),
        (CacheMode::Unsafe, true, true, false),
    ] {
        let cache = WriteCache::new(mode);
        assert_eq!(cache.writeback(), mode != CacheMode::Writethrough);
        for _ in 0..2 {
            cache.agree(flushes);
            assert_eq!(cache.writeback(), writeback, "{mode:?} {flushes}");
            assert_eq!(cache.write_is_stable(), write_is_stable, "{mode:?} {flushes}");
            assert_eq!(cache.flush_is_needed(), mode != CacheMode::Unsafe);
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
