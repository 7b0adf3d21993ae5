//! The instructions of pickles of protocols 2 to 5 that state dicts are made of.

use std::collections::HashMap;

use super::{
    calls,
    global::Global,
    value::{Container, Heap, Value},
};
use crate::{
    error::{Result, at_most, malformed},
    limits::{MAX_MEMO, MAX_STACK, MAX_STEPS},
};

pub(in crate::torch) struct Unpickled<'a> {
    pub(in crate::torch) heap: Heap<'a>,
    pub(in crate::torch) root: Value<'a>,
    /// Bytes that the pickle takes.
    pub(in crate::torch) len: usize,
}

/// Reads the pickle that `bytes` begin with.
pub(in crate::torch) fn unpickle(bytes: &[u8]) -> Result<Unpickled<'_>> {
    let mut machine = Machine { input: Input { bytes, at: 0 }, ..Machine::default() };
    for _ in 0..MAX_STEPS {
        let at = machine.input.at;
        let [opcode] = machine.input.array()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Unpickled { heap: machine.heap, root, len: machine.input.at });
        }
        machine.step(opcode, at)?;
        at_most((machine.stack.len() + machine.marks.len()) as u64, MAX_STACK as u64, "values at hand")?;
    }
    at_most(MAX_STEPS as u64 + 1, MAX_STEPS as u64, "instructions of a pickle")?;
    malformed("a pickle without an end")
}

#[derive(Default)]
struct Machine<'a> {
    input: Input<'a>,
    stack: Vec<Value<'a>>,
    /// Lengths of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    heap: Heap<'a>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8, at: usize) -> Result<()> {
        match opcode {
            // PROTO, FRAME
            0x80 => match self.input.array()? {
                [2..=5] => return Ok(()),
                [version] => return malformed(format!("a pickle of protocol {version}")),
            },
            0x95 => return self.input.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(());
            }
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => return self.input.u8().and_then(|key| self.memoize(key)),
            b'r' => return self.input.u32().and_then(|key| self.memoize(key)),
            0x94 => return self.memoize(self.memo.len() as u32),
            // APPEND, APPENDS, SETITEM, SETITEMS, BUILD
            b'a' => {
                let item = self.pop()?;
                return self.extend_list(vec![item]);
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                return self.extend_list(items);
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                return self.extend_dict(&[key, value]);
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                return self.extend_dict(&items);
            }
            b'b' => return self.build(),
            _ => {}
        }
        let value = match opcode {
            b'N' => Value::None,
            // NEWTRUE, NEWFALSE, BINFLOAT
            0x88 | 0x89 => Value::Bool(opcode == 0x88),
            b'G' => self.input.take(8).map(|_| Value::Other)?,
            // BININT, BININT1, BININT2, LONG1, LONG4
            b'J' => Value::Int(i64::from(self.input.array().map(i32::from_le_bytes)?)),
            b'K' => Value::Int(i64::from(self.input.u8()?)),
            b'M' => Value::Int(i64::from(self.input.array().map(u16::from_le_bytes)?)),
            0x8a => self.input.u8().and_then(|len| self.input.take(u64::from(len))).map(long)?,
            0x8b => self.input.u32().and_then(|len| self.input.take(u64::from(len))).map(long)?,
            // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; of Python 2: BINSTRING, SHORT_BINSTRING
            b'X' | b'T' => self.input.u32().and_then(|len| self.input.text(u64::from(len)))?,
            0x8c | b'U' => self.input.u8().and_then(|len| self.input.text(u64::from(len)))?,
            0x8d => self.input.u64().and_then(|len| self.input.text(len))?,
            // BINBYTES, SHORT_BINBYTES
            b'B' => self.input.u32().and_then(|len| self.input.take(u64::from(len))).map(|_| Value::Other)?,
            b'C' => self.input.u8().and_then(|len| self.input.take(u64::from(len))).map(|_| Value::Other)?,
            b']' => self.heap.add(Container::List(Vec::new())),
            b'}' => self.heap.add(Container::Dict(Vec::new())),
            b')' => self.heap.add(Container::Tuple(Vec::new())),
            b't' => self.pop_to_mark().map(|items| self.heap.add(Container::Tuple(items)))?,
            // TUPLE1, TUPLE2, TUPLE3
            0x85..=0x87 => {
                let from = self.floor(usize::from(opcode - 0x84))?;
                let items = self.stack.split_off(from);
                self.heap.add(Container::Tuple(items))
            }
            // BINGET, LONG_BINGET
            b'h' => self.input.u8().and_then(|key| self.recall(u32::from(key)))?,
            b'j' => self.input.u32().and_then(|key| self.recall(key))?,
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                Value::Global(Global::named(module, name)?)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Str(module), Value::Str(name)) = (module, name) else {
                    return malformed("a function whose name is no text");
                };
                Value::Global(Global::named(module, name)?)
            }
            // REDUCE, BINPERSID
            b'R' => {
                let (args, function) = (self.pop()?, self.pop()?);
                calls::call(&mut self.heap, function, args)?
            }
            b'Q' => {
                let id = self.pop()?;
                calls::persistent(&mut self.heap, id)?
            }
            _ => {
                return malformed(format!(
                    "instruction 0x{opcode:02x} at byte {at} of its pickle, which no state dict needs"
                ));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// The stack's length without the last `n` values, which must lie above the last mark.
    fn floor(&self, n: usize) -> Result<usize> {
        let lowest = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(n) {
            Some(floor) if floor >= lowest => Ok(floor),
            _ => malformed("a pickle that takes more than it gave"),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        self.floor(1)?;
        self.stack.pop().map_or_else(|| malformed("a pickle that takes more than it gave"), Ok)
    }

    fn top(&self) -> Result<Value<'a>> {
        let floor = self.floor(1)?;
        Ok(self.stack[floor])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => malformed("a pickle that goes back to a mark it did not set"),
        }
    }

    fn memoize(&mut self, key: impl Into<u32>) -> Result<()> {
        let value = self.top()?;
        self.memo.insert(key.into(), value);
        at_most(self.memo.len() as u64, MAX_MEMO as u64, "values kept by a pickle")
    }

    fn recall(&self, key: u32) -> Result<Value<'a>> {
        self.memo.get(&key).copied().map_or_else(|| malformed("a pickle that recalls what it never kept"), Ok)
    }

    fn extend_list(&mut self, items: Vec<Value<'a>>) -> Result<()> {
        let list = self.top()?;
        match self.heap.container_mut(list) {
            Some(Container::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => malformed("items for what is no list"),
        }
    }

    fn extend_dict(&mut self, items: &[Value<'a>]) -> Result<()> {
        let dict = self.top()?;
        match (self.heap.container_mut(dict), items.as_chunks::<2>()) {
            (Some(Container::Dict(entries)), (pairs, [])) => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => malformed("entries for what is no dict"),
        }
    }

    /// An `OrderedDict` may have attributes, of which `state_dict()` makes use: versions of modules.
    /// They are passed over.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        let object = self.top()?;
        match self.heap.entries(object) {
            Some(_) => Ok(()),
            None => malformed("attributes for what is no dict"),
        }
    }
}

/// Two's complement, little-endian.
fn long(bytes: &[u8]) -> Value<'_> {
    let mut wide = match bytes.last() {
        Some(last) if last & 0x80 != 0 => [0xff; 8],
        _ => [0; 8],
    };
    match wide.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Value::Other,
    }
    Value::Int(i64::from_le_bytes(wide))
}

#[derive(Default)]
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => malformed("a pickle that ends too early"),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(array) => {
                self.at += N;
                Ok(*array)
            }
            None => malformed("a pickle that ends too early"),
        }
    }

    fn u8(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text that is no UTF-8 names no tensor.
    fn text(&mut self, len: u64) -> Result<Value<'a>> {
        Ok(std::str::from_utf8(self.take(len)?).map_or(Value::Other, Value::Str))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n');
        match len.and_then(|len| std::str::from_utf8(&rest[..len]).ok()) {
            Some(line) => {
                self.at += line.len() + 1;
                Ok(line)
            }
            None => malformed("a function's name that does not end"),
        }
    }
}
