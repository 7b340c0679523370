//! Writes the core module of a data-only plugin.
//!
//! Every answer is known beforehand, so each function returns the address of a record that a data segment
//! holds, laid out as the component model's canonical ABI says
//! (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>). The one
//! function with work to do is `cabi_realloc`, through which the host passes arguments: it takes the next
//! free bytes and never frees, since nothing that is passed here outlives a call and calls are few.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// What the plugin answers.
pub(crate) struct Description<'a> {
    pub(crate) contract: &'a str,
    pub(crate) built_by: &'a str,
    pub(crate) manifest: &'a str,
    pub(crate) template: Option<&'a str>,
}

const PLUGIN: &str = "toolglot:family/plugin@0.1.0";
const NO_CODE: &str = "this plugin is data: the host reads its format";
/// Addresses below it stay unused, so that 0 is nobody's address.
const BASE: u32 = 1024;
const PAGE: u32 = 65536;

/// The module, without the custom section that names its types.
pub(crate) fn data_only(description: &Description<'_>) -> Vec<u8> {
    let mut data = Data::default();
    let describe = data.description(description);
    let refusal = data.refused(NO_CODE);

    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    let mut add = |name: &str, params: usize, result: bool, body: &[Instruction<'_>]| {
        let index = functions.len();
        types.ty().function(vec![ValType::I32; params], vec![ValType::I32; usize::from(result)]);
        functions.function(index);
        let mut function = Function::new([(1, ValType::I32)]);
        body.iter().chain([&Instruction::End]).for_each(|instruction| {
            function.instruction(instruction);
        });
        code.function(&function);
        exports.export(name, ExportKind::Func, index);
    };
    let answer = |address: u32| [Instruction::I32Const(address.cast_signed())];
    add(&format!("{PLUGIN}#describe"), 0, true, &answer(describe));
    add(&format!("{PLUGIN}#lower"), 4, true, &answer(refusal));
    add(&format!("{PLUGIN}#[static]session.open"), 6, true, &answer(refusal));
    // No session is ever opened, so these are never reached.
    add(&format!("{PLUGIN}#[method]session.prime"), 3, false, &[Instruction::Unreachable]);
    add(&format!("{PLUGIN}#[method]session.feed"), 5, true, &[Instruction::Unreachable]);
    add(&format!("{PLUGIN}#[method]session.finish"), 4, true, &[Instruction::Unreachable]);
    add(&format!("{PLUGIN}#[dtor]session"), 1, false, &[]);
    add("cabi_realloc", 4, true, &realloc());

    let (end, pages) = (data.end().cast_signed(), u64::from(data.end().div_ceil(PAGE)));
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: pages,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    exports.export("memory", ExportKind::Memory, 0);
    let mut globals = GlobalSection::new();
    let heap = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(heap, &ConstExpr::i32_const(end));
    let mut segments = DataSection::new();
    segments.active(0, &ConstExpr::i32_const(BASE.cast_signed()), data.bytes);

    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&code)
        .section(&segments);
    module.finish()
}

/// `cabi_realloc(old, old_size, align, size) -> address`: the next free bytes; what was at `old` is copied
/// and forgotten. It traps when memory cannot grow. Local 4 is scratch.
fn realloc() -> Vec<Instruction<'static>> {
    use Instruction as I;
    const HEAP: u32 = 0;
    const OLD: u32 = 0;
    const OLD_SIZE: u32 = 1;
    const ALIGN: u32 = 2;
    const SIZE: u32 = 3;
    const AT: u32 = 4;
    vec![
        // AT = (HEAP + ALIGN - 1) & -ALIGN
        I::GlobalGet(HEAP),
        I::LocalGet(ALIGN),
        I::I32Add,
        I::I32Const(1),
        I::I32Sub,
        I::I32Const(0),
        I::LocalGet(ALIGN),
        I::I32Sub,
        I::I32And,
        I::LocalTee(AT),
        // HEAP = AT + SIZE, unless that wraps
        I::LocalGet(SIZE),
        I::I32Add,
        I::GlobalSet(HEAP),
        I::GlobalGet(HEAP),
        I::LocalGet(AT),
        I::I32LtU,
        I::If(BlockType::Empty),
        I::Unreachable,
        I::End,
        // Grow by what is missing of HEAP, in whole pages.
        I::GlobalGet(HEAP),
        I::MemorySize(0),
        I::I32Const(16),
        I::I32Shl,
        I::I32GtU,
        I::If(BlockType::Empty),
        I::GlobalGet(HEAP),
        I::MemorySize(0),
        I::I32Const(16),
        I::I32Shl,
        I::I32Sub,
        I::I32Const(PAGE.cast_signed() - 1),
        I::I32Add,
        I::I32Const(16),
        I::I32ShrU,
        I::MemoryGrow(0),
        I::I32Const(-1),
        I::I32Eq,
        I::If(BlockType::Empty),
        I::Unreachable,
        I::End,
        I::End,
        I::LocalGet(AT),
        I::LocalGet(OLD),
        I::LocalGet(OLD_SIZE),
        I::MemoryCopy { src_mem: 0, dst_mem: 0 },
        I::LocalGet(AT),
    ]
}

/// The data segment while it is written. Addresses are absolute; records are aligned to 4.
#[derive(Default)]
struct Data {
    bytes: Vec<u8>,
}

impl Data {
    fn end(&self) -> u32 {
        address(self.bytes.len())
    }

    /// `record description`
    fn description(&mut self, it: &Description<'_>) -> u32 {
        let mut record = Vec::new();
        record.extend(self.string(it.contract));
        record.extend(self.string(it.built_by));
        record.push(1); // variant manifest: json
        record.extend(self.string(it.manifest));
        record.push(u32::from(it.template.is_some()));
        record.extend(self.string(it.template.unwrap_or_default()));
        record.push(0); // flags abilities: none
        record.extend(self.string("{}"));
        self.record(&record)
    }

    /// `result<_, error>`, the case `unsupported`
    fn refused(&mut self, why: &str) -> u32 {
        let [at, length] = self.string(why);
        self.record(&[1, 1, at, length])
    }

    /// Address and length of a text.
    fn string(&mut self, text: &str) -> [u32; 2] {
        let at = self.end();
        self.bytes.extend_from_slice(text.as_bytes());
        [at, address(text.len()) - BASE]
    }

    fn record(&mut self, words: &[u32]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let at = self.end();
        // Cases and flags are single bytes, followed by padding: as a little-endian word they are the same.
        words.iter().for_each(|word| self.bytes.extend_from_slice(&word.to_le_bytes()));
        at
    }
}

/// Address of an offset in the segment. A family of 4 GiB does not exist; if it did, the segment would not
/// fit its memory and validation would say so.
fn address(offset: usize) -> u32 {
    BASE.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX))
}
