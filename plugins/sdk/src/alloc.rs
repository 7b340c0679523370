//! A guest's allocator. Sessions make and drop many short texts, for which the standard allocator of the
//! target takes a large part of a guest's time. Here a small block that is dropped waits, for the next of its
//! size, in a list: taking one and giving it back are a few instructions each. Blocks of a size never become
//! blocks of another: a guest lives for one turn.

#![allow(unsafe_code, reason = "an allocator hands out addresses")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::null_mut;

/// Sizes of small blocks are the powers of two from 16 bytes on.
const SMALLEST: usize = 16;
const SIZES: usize = 9;
const LARGEST: usize = SMALLEST << (SIZES - 1);
/// What is taken at once from the allocator behind, for small blocks of all sizes.
const CHUNK: usize = 8 * LARGEST;

/// Keeps small blocks by size. Large ones come from the allocator `behind`.
pub(crate) struct Pools<A> {
    /// The first free block of each size. A free block begins with the address of the next.
    free: [Cell<*mut u8>; SIZES],
    /// What is left of the last chunk.
    rest: Cell<*mut u8>,
    left: Cell<usize>,
    behind: A,
}

// SAFETY: a guest has one thread, and no other target has this allocator in a static.
#[cfg(target_family = "wasm")]
unsafe impl<A> Sync for Pools<A> {}

impl<A: GlobalAlloc> Pools<A> {
    pub(crate) const fn new(behind: A) -> Self {
        let free = [const { Cell::new(null_mut()) }; SIZES];
        Pools { free, rest: Cell::new(null_mut()), left: Cell::new(0), behind }
    }

    /// A block from the last chunk, or from a new one. What is left of the last one then stays unused.
    #[cold]
    fn carve(&self, size: usize) -> *mut u8 {
        if self.left.get() < size {
            let Ok(layout) = Layout::from_size_align(CHUNK, SMALLEST) else { return null_mut() };
            // SAFETY: the size is not zero.
            let chunk = unsafe { self.behind.alloc(layout) };
            if chunk.is_null() {
                return chunk;
            }
            self.rest.set(chunk);
            self.left.set(CHUNK);
        }
        let block = self.rest.get();
        // SAFETY: `left` bytes from `rest` on are in the chunk, and `size` is not more.
        self.rest.set(unsafe { block.add(size) });
        self.left.set(self.left.get() - size);
        block
    }
}

/// Which list the blocks of a layout are in.
#[inline]
fn list(layout: Layout) -> Option<usize> {
    let small = layout.size() <= LARGEST && layout.align() <= SMALLEST;
    small.then(|| (layout.size().max(SMALLEST) - 1).ilog2() as usize + 1 - SMALLEST.ilog2() as usize)
}

// SAFETY: blocks are carved from chunks once, at multiples of 16 bytes, since sizes are such; a list holds
// blocks of its size that were given back; nothing here unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Pools<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { self.behind.alloc(layout) };
        };
        let block = self.free[list].get();
        if block.is_null() {
            return self.carve(SMALLEST << list);
        }
        // SAFETY: a free block begins with an address, and is aligned for one.
        self.free[list].set(unsafe { block.cast::<*mut u8>().read() });
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's promise; `alloc` took it from there.
            return unsafe { self.behind.dealloc(block, layout) };
        };
        // SAFETY: the block is of this list's size and nobody's now.
        unsafe { block.cast::<*mut u8>().write(self.free[list].get()) };
        self.free[list].set(block);
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is a valid one at this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list(layout), list(new)) {
            // SAFETY: the caller's promise; `alloc` took it from there.
            (None, None) => unsafe { self.behind.realloc(block, layout, size) },
            (old, new) if old == new => block,
            // SAFETY: two blocks, each at least as long as what is copied.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    moved.copy_from_nonoverlapping(block, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    struct Block {
        at: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Block {
        fn new(pools: &Pools<System>, size: usize, align: usize, mark: u8) -> Self {
            let layout = Layout::from_size_align(size, align).unwrap();
            let at = unsafe { pools.alloc(layout) };
            assert!(!at.is_null() && at.addr().is_multiple_of(align), "{layout:?}");
            unsafe { at.write_bytes(mark, size) };
            Block { at, layout, mark }
        }

        fn check(&self, size: usize) {
            let bytes = unsafe { std::slice::from_raw_parts(self.at, size) };
            assert!(bytes.iter().all(|byte| *byte == self.mark), "{:?}", self.layout);
        }

        fn resize(&mut self, pools: &Pools<System>, size: usize) {
            self.at = unsafe { pools.realloc(self.at, self.layout, size) };
            self.check(size.min(self.layout.size()));
            self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
            unsafe { self.at.write_bytes(self.mark, size) };
        }

        fn free(self, pools: &Pools<System>) {
            self.check(self.layout.size());
            unsafe { pools.dealloc(self.at, self.layout) };
        }
    }

    #[test]
    fn sizes_go_to_the_least_list_that_holds_them() {
        let list = |size| list(Layout::from_size_align(size, 1).unwrap());
        let expected = [(1, 0), (16, 0), (17, 1), (32, 1), (33, 2), (64, 2), (2049, 8), (4096, 8)];
        for (size, number) in expected {
            assert_eq!(list(size), Some(number), "{size}");
            assert!(SMALLEST << number >= size);
        }
        assert_eq!(list(4097), None);
        assert_eq!(super::list(Layout::from_size_align(8, 32).unwrap()), None);
    }

    #[test]
    fn a_block_is_used_again_for_its_size_only() {
        let pools = Pools::new(System);
        let first = Block::new(&pools, 20, 1, 1);
        let at = first.at;
        first.free(&pools);
        let other = Block::new(&pools, 40, 1, 2);
        assert_ne!(other.at, at);
        let same = Block::new(&pools, 32, 8, 3);
        assert_eq!(same.at, at);
        other.free(&pools);
        same.free(&pools);
    }

    #[test]
    fn blocks_never_overlap() {
        let pools = Pools::new(System);
        let mut blocks = Vec::new();
        // A small generator of numbers: sizes and choices that have no pattern.
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for round in 0..20_000u32 {
            let size = 1 + random(if round % 10 == 0 { 9000 } else { 300 }) as usize;
            match random(3) {
                0 if !blocks.is_empty() => {
                    let chosen: Block = blocks.swap_remove(random(blocks.len() as u32) as usize);
                    chosen.free(&pools);
                }
                1 if !blocks.is_empty() => {
                    let chosen = random(blocks.len() as u32) as usize;
                    blocks[chosen].resize(&pools, size);
                }
                _ => blocks.push(Block::new(&pools, size, 1 << random(6), round as u8)),
            }
        }
        assert!(blocks.len() > 20);
        blocks.into_iter().for_each(|block| block.free(&pools));
    }
}
