//! What the hypervisor's public headers define.

pub mod bitmap;
pub mod domctl;
pub mod errno;
pub mod event_channel;
pub mod grant_table;
pub mod hvm;
pub mod hypfs;
pub mod memory;
pub mod mmu;
pub mod multicall;
pub mod operation;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod version;

/// Size of a Xen frame, in bytes: 4096 on every architecture, whatever the kernel's own page size is.
#[doc(alias = "XC_PAGE_SIZE")]
#[doc(alias = "XEN_PAGE_SIZE")]
pub const PAGE_SIZE: usize = 4096;

/// Asserts size and field offsets of a record, which is `C_TYPE` in C; the ABI oracle (`tests/abi_layouts`) asks C compilers
/// whether the same is true there. A field whose name in C differs says so, `kind("type") @ 4`, or
/// `flags("flags" | "pad") @ 4` if it was renamed.
///
/// `C_TYPE` may be a member, `"struct gnttab_copy.status"`. Behind it may stand:
/// - `before "member"`: the record is the part in front of that one, for which there is another type;
/// - `extended`: the record goes on where C's ends, in a flexible array;
/// - `(4.14..=4.15)`: the hypervisors whose layout it is, where others have another.
macro_rules! layout {
    (
        $record:ty = $c_type:literal $(before $member:literal)? $(extended)? $(($($versions:tt)*))?,
        $size:literal $(, $field:ident $(($($c_field:literal)|+))? @ $offset:literal)* $(,)?
    ) => {
        const _: () = {
            assert!(size_of::<$record>() == $size);
            $(assert!(core::mem::offset_of!($record, $field) == $offset);)*
        };
    };
}

/// Constants with their names in C, by which the ABI oracle checks them: of an integer type, or `impl` of a newtype.
///
/// The oracle reads `"C_NAME" = value` in the arguments of any macro, so other macros may use that too; and
/// `"C_NAME" (4.14..=4.15) = value` for what changes with the hypervisor.
macro_rules! constants {
    (impl $newtype:ident: $($(#[$doc:meta])* $name:ident = $c_name:literal = $value:expr;)*) => {
        impl $newtype { $(
            $(#[$doc])*
            #[doc = concat!("\n`", $c_name, "`")]
            #[doc(alias = $c_name)]
            pub const $name: Self = Self($value);
        )* }
    };
    ($integer:ident: $($(#[$doc:meta])* $name:ident = $c_name:literal = $value:expr;)*) => { $(
        $(#[$doc])*
        #[doc = concat!("\n`", $c_name, "`")]
        #[doc(alias = $c_name)]
        pub const $name: $integer = $value;
    )* };
}
pub(crate) use {constants, layout};
