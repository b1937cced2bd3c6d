//! The tables and grains that were read last, up to a limit.

use std::{
    collections::HashMap,
    fmt::{self, Debug, Formatter},
    io, mem,
    sync::{Arc, Mutex, PoisonError},
};

/// The limit in bytes of a generation of grain tables: those of 16 GiB of disk in grains of 64 KiB.
const TABLES: usize = 1 << 20;
/// The limit in bytes of a generation of inflated grains.
const GRAINS: usize = 4 << 20;

/// The caches of one disk, for all of its extents.
#[derive(Debug)]
pub(super) struct Caches {
    pub(super) tables: Cache<u32>,
    pub(super) grains: Cache<u8>,
}

/// The number of the extent, counted over all links, and the number of its table or grain.
pub(super) type Key = (usize, u64);

/// At most two generations: what was used since the last change of generations, and what was used in the generation before.
pub(super) struct Cache<T> {
    limit: usize,
    generations: Mutex<Generations<T>>,
}

struct Generations<T> {
    young: HashMap<Key, Arc<[T]>>,
    young_size: usize,
    old: HashMap<Key, Arc<[T]>>,
}

impl Caches {
    pub(super) fn new() -> Self {
        Self { tables: Cache::new(TABLES), grains: Cache::new(GRAINS) }
    }
}

impl<T> Cache<T> {
    /// A cache of at most twice `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let generations = Generations { young: HashMap::new(), young_size: 0, old: HashMap::new() };
        Self { limit, generations: Mutex::new(generations) }
    }

    /// Returns the part for `key`. If it is not cached, it is loaded by `load`; two threads that miss it at the same time both load it.
    pub(super) fn get(&self, key: Key, load: impl FnOnce() -> io::Result<Arc<[T]>>) -> io::Result<Arc<[T]>> {
        if let Some(found) = self.with(|it| it.find(key, self.limit)) {
            return Ok(found);
        }
        let loaded = load()?;
        self.with(|it| it.insert(key, Arc::clone(&loaded), self.limit));
        Ok(loaded)
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut Generations<T>) -> R) -> R {
        use_it(&mut self.generations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Generations<T> {
    fn find(&mut self, key: Key, limit: usize) -> Option<Arc<[T]>> {
        if let Some(found) = self.young.get(&key) {
            return Some(Arc::clone(found));
        }
        let found = self.old.remove(&key)?;
        self.insert(key, Arc::clone(&found), limit);
        Some(found)
    }

    fn insert(&mut self, key: Key, value: Arc<[T]>, limit: usize) {
        let size = size_of_val(&*value);
        if size > limit {
            return;
        }
        if self.young_size + size > limit {
            self.old = mem::take(&mut self.young);
            self.young_size = 0;
        }
        if self.young.insert(key, value).is_none() {
            self.young_size += size;
        }
    }
}

impl<T> Debug for Cache<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (young, old) = self.with(|it| (it.young.len(), it.old.len()));
        f.debug_struct("Cache").field("limit", &self.limit).field("young", &young).field("old", &old).finish()
    }
}

#[cfg(test)]
#[path = "cache_test.rs"]
mod tests;
