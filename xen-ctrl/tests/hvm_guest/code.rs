//! A small assembler: instructions of 32-bit code.

/// Instructions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code(Vec<u8>);

/// What stands in front of an instruction of this width, and what is added to its opcode.
fn width(size: u8) -> (&'static [u8], u8) {
    match size {
        1 => (&[], 0),
        2 => (&[0x66], 1),
        4 => (&[], 1),
        other => panic!("no instruction of {other} bytes"),
    }
}

impl Code {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Instructions as they are.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn long(self, opcode: u8, operand: u32) -> Self {
        self.raw(&[opcode]).raw(&operand.to_le_bytes())
    }

    /// An instruction in three widths.
    fn wide(self, size: u8, opcode: u8) -> Self {
        let (prefix, more) = width(size);
        self.raw(prefix).raw(&[opcode + more])
    }

    pub(crate) fn eax(self, value: u32) -> Self {
        self.long(0xb8, value)
    }

    pub(crate) fn ebx(self, value: u32) -> Self {
        self.long(0xbb, value)
    }

    pub(crate) fn ecx(self, value: u32) -> Self {
        self.long(0xb9, value)
    }

    pub(crate) fn edx(self, value: u32) -> Self {
        self.long(0xba, value)
    }

    pub(crate) fn esi(self, value: u32) -> Self {
        self.long(0xbe, value)
    }

    pub(crate) fn edi(self, value: u32) -> Self {
        self.long(0xbf, value)
    }

    /// `out dx, al` and so on, of a value.
    pub(crate) fn out(self, port: u16, size: u8, value: u32) -> Self {
        self.edx(port.into()).eax(value).wide(size, 0xee)
    }

    /// `in al, dx` and so on.
    pub(crate) fn read_port(self, port: u16, size: u8) -> Self {
        self.edx(port.into()).wide(size, 0xec)
    }

    /// `mov al, [address]` and so on.
    pub(crate) fn load(self, address: u32, size: u8) -> Self {
        self.wide(size, 0xa0).raw(&address.to_le_bytes())
    }

    /// `mov [address], al` and so on.
    pub(crate) fn store(self, address: u32, size: u8) -> Self {
        self.wide(size, 0xa2).raw(&address.to_le_bytes())
    }

    /// `movq mm0, [address]`
    pub(crate) fn load_mm0(self, address: u32) -> Self {
        self.raw(&[0x0f, 0x6f, 0x05]).raw(&address.to_le_bytes())
    }

    /// `movq [address], mm0`
    pub(crate) fn store_mm0(self, address: u32) -> Self {
        self.raw(&[0x0f, 0x7f, 0x05]).raw(&address.to_le_bytes())
    }

    /// `cld`: strings go up.
    pub(crate) fn upwards(self) -> Self {
        self.raw(&[0xfc])
    }

    /// `std`: strings go down.
    pub(crate) fn downwards(self) -> Self {
        self.raw(&[0xfd])
    }

    /// `rep outs`, from esi to port edx, ecx times.
    pub(crate) fn rep_outs(self, size: u8) -> Self {
        self.raw(&[0xf3]).wide(size, 0x6e)
    }

    /// `rep ins`, from port edx to edi, ecx times.
    pub(crate) fn rep_ins(self, size: u8) -> Self {
        self.raw(&[0xf3]).wide(size, 0x6c)
    }

    /// `rep movs`, from esi to edi, ecx times.
    pub(crate) fn rep_movs(self, size: u8) -> Self {
        self.raw(&[0xf3]).wide(size, 0xa4)
    }

    /// `rep stos`, of eax to edi, ecx times.
    pub(crate) fn rep_stos(self, size: u8) -> Self {
        self.raw(&[0xf3]).wide(size, 0xaa)
    }

    /// How long it is.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Again from `start` on, ebp times in all: `dec ebp; jnz`.
    pub(crate) fn repeat_from(self, start: usize) -> Self {
        let code = self.raw(&[0x4d, 0x0f, 0x85]);
        let back = i32::try_from(start).expect("short") - i32::try_from(code.len() + 4).expect("short");
        code.raw(&back.to_le_bytes())
    }

    /// How often [`Code::repeat_from`] repeats: `mov ebp, count`.
    pub(crate) fn times(self, count: u32) -> Self {
        self.long(0xbd, count)
    }

    /// With `hlt` at the end, in case of an interrupt again and again.
    pub(crate) fn end(self) -> Vec<u8> {
        self.raw(&[0xf4, 0xeb, 0xfd]).0
    }
}
