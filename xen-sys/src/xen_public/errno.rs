//! `xen/include/public/errno.h`: the error numbers that the crates tell apart. Xen's are Linux's, on x86-64 and arm64.

use super::constants;

constants! { i32:
    EPERM = "XEN_EPERM" = 1;
    ENOENT = "XEN_ENOENT" = 2;
    ESRCH = "XEN_ESRCH" = 3;
    E2BIG = "XEN_E2BIG" = 7;
    EAGAIN = "XEN_EAGAIN" = 11;
    EACCES = "XEN_EACCES" = 13;
    EFAULT = "XEN_EFAULT" = 14;
    EBUSY = "XEN_EBUSY" = 16;
    EEXIST = "XEN_EEXIST" = 17;
    ENODEV = "XEN_ENODEV" = 19;
    EINVAL = "XEN_EINVAL" = 22;
    ENFILE = "XEN_ENFILE" = 23;
    ENOSPC = "XEN_ENOSPC" = 28;
    ENOSYS = "XEN_ENOSYS" = 38;
    ENODATA = "XEN_ENODATA" = 61;
    EILSEQ = "XEN_EILSEQ" = 84;
    EOPNOTSUPP = "XEN_EOPNOTSUPP" = 95;
    ENOBUFS = "XEN_ENOBUFS" = 105;
    EISCONN = "XEN_EISCONN" = 106;
    ENOTCONN = "XEN_ENOTCONN" = 107;
}

/// `ENOTTY`: Linux alone has it, for an ioctl that the driver does not know.
pub const ENOTTY: i32 = 25;
