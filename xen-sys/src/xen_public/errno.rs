//! `xen/include/public/errno.h`: the error numbers that the crates tell apart. Xen's are Linux's, on x86-64 and arm64.

macro_rules! numbers {
    ($($name:ident = $number:literal;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub const $name: i32 = $number;
        )*
    };
}

numbers! {
    EPERM = 1;
    ENOENT = 2;
    ESRCH = 3;
    EACCES = 13;
    EFAULT = 14;
    EBUSY = 16;
    EEXIST = 17;
    EINVAL = 22;
    ENOTTY = 25;
    ENOSPC = 28;
    ENOSYS = 38;
    EOPNOTSUPP = 95;
    EISCONN = 106;
    ENOTCONN = 107;
}
