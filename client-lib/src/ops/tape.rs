//! The backward of a step, operation by operation.
//!
//! candle's own fills every gradient with zeros before it adds the first, keeps whatever the forward gave until the last
//! gradient is there, and adds on a thread pool of its own. While a [`Recording`] is open, each operation of this module
//! that something is learnt through is remembered with what it read, and gives a leaf: to candle a graph ends there. The
//! backward visits them, the last first: a gradient that is alone is handed on as it is, and what an operation kept is
//! gone once it was visited. What candle computes between two of them it goes back through itself.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    marker::PhantomData,
};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor,
    TensorId,
    backend::{BackendDevice as _, BackendStorage as _},
    op::BackpropOp,
};

use super::sum::added;

thread_local! {
    /// What is recorded on this thread, the innermost recording last.
    static OPEN: RefCell<Vec<Recorded>> = const { RefCell::new(Vec::new()) };
}

/// From its beginning to its end the operations of this thread are remembered.
#[derive(Debug)]
pub struct Recording {
    /// Of one thread.
    here: PhantomData<*const ()>,
}

/// Gradients by the tensor that they are of.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<TensorId, Tensor>);

/// What was recorded; nothing where nobody will go back.
type Recorded = Option<Vec<Node>>;

/// An operation, what it read and what it gave.
struct Node {
    op: Op,
    read: Vec<Tensor>,
    gave: Tensor,
}

enum Op {
    One(Box<dyn CustomOp1>),
    Two(Box<dyn CustomOp2>),
    Three(Box<dyn CustomOp3>),
}

/// A tensor that candle computed from leaves, and the gradient that has come back to it so far.
struct Between {
    tensor: Tensor,
    gradient: Tensor,
    leaves: Vec<Tensor>,
}

impl Recording {
    /// Opens a recording; one that is open already waits until this one is closed.
    pub fn begin() -> Self {
        Self::open(Some(Vec::new()))
    }

    /// Opens one that remembers nothing: what is computed until it is closed is computed again before a backward.
    pub fn forgetful() -> Self {
        Self::open(None)
    }

    fn open(recorded: Recorded) -> Self {
        OPEN.with_borrow_mut(|open| open.push(recorded));
        Self { here: PhantomData }
    }

    /// The gradients of a scalar that was computed since the beginning.
    pub fn backward(self, loss: &Tensor) -> Result<Gradients> {
        self.backward_from(loss, loss.ones_like()?)
    }

    /// The same of `end`, whose own gradient is given.
    pub fn backward_from(self, end: &Tensor, gradient: Tensor) -> Result<Gradients> {
        let recorded = OPEN.with_borrow_mut(|open| open.last_mut().and_then(Option::take));
        drop(self);
        let mut nodes = recorded.unwrap_or_default();
        let mut back = Backward::default();
        back.reach(end, gradient)?;
        while let Some(Node { op, read, gave }) = nodes.pop() {
            back.settle(Some(&gave))?;
            let Some(gradient) = back.gradients.0.remove(&gave.id()) else { continue };
            for (tensor, gradient) in read.iter().zip(op.gradients(&read, &gave, &gradient)?) {
                if let Some(gradient) = gradient {
                    back.reach(tensor, gradient)?;
                }
            }
        }
        back.settle(None)?;
        Ok(back.gradients)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(Vec::pop);
    }
}

impl Gradients {
    /// The gradient of a tensor that is learnt.
    pub fn get(&self, tensor: &Tensor) -> Option<&Tensor> {
        self.0.get(&tensor.id())
    }

    fn add(&mut self, tensor: &Tensor, gradient: Tensor) -> Result<()> {
        match self.0.entry(tensor.id()) {
            Entry::Vacant(entry) => {
                let _ = entry.insert(gradient);
            }
            Entry::Occupied(mut entry) => {
                let sum = added(entry.get(), &gradient)?;
                entry.insert(sum);
            }
        }
        Ok(())
    }
}

/// How far a backward has come.
#[derive(Default)]
struct Backward {
    gradients: Gradients,
    /// In the order in which they were reached, so that sums are always added in the same one.
    between: Vec<Between>,
}

impl Backward {
    /// Adds to the gradient of a tensor.
    fn reach(&mut self, tensor: &Tensor, gradient: Tensor) -> Result<()> {
        if tensor.is_variable() {
            return self.gradients.add(tensor, gradient);
        }
        if !tensor.track_op() {
            return Ok(());
        }
        if let Some(between) = self.between.iter_mut().find(|between| between.tensor.id() == tensor.id()) {
            between.gradient = added(&between.gradient, &gradient)?;
            return Ok(());
        }
        let nodes = tensor.sorted_nodes().into_iter();
        let leaves: Vec<Tensor> = nodes.filter(|node| node.is_variable()).cloned().collect();
        match leaves.as_slice() {
            [leaf] if is_view(tensor, leaf) => self.gradients.add(leaf, gradient.reshape(leaf.shape())?),
            _ => {
                self.between.push(Between { tensor: tensor.clone(), gradient, leaves });
                Ok(())
            }
        }
    }

    /// Goes back through what candle computed from a leaf, or from any. Whatever reads such a tensor was recorded behind
    /// the leaf, so that its gradient is complete by now.
    fn settle(&mut self, leaf: Option<&Tensor>) -> Result<()> {
        let is_of = |between: &Between| {
            leaf.is_none_or(|leaf| between.leaves.iter().any(|other| other.id() == leaf.id()))
        };
        let due: Vec<Between> = self.between.extract_if(.., |between| is_of(between)).collect();
        let mut loss: Option<Tensor> = None;
        let mut leaves = HashMap::new();
        for Between { tensor, gradient, leaves: own } in due {
            leaves.extend(own.into_iter().map(|leaf| (leaf.id(), leaf)));
            let seed = tensor.apply_op1(Seed { gradient })?;
            loss = Some(match loss {
                None => seed,
                Some(loss) => (loss + seed)?,
            });
        }
        let Some(loss) = loss else { return Ok(()) };
        let mut found = loss.backward()?;
        for leaf in leaves.values() {
            if let Some(gradient) = found.remove(leaf) {
                self.gradients.add(leaf, gradient)?;
            }
        }
        Ok(())
    }
}

/// Whether a tensor is a leaf in another shape, number by number.
fn is_view(tensor: &Tensor, leaf: &Tensor) -> bool {
    let ((own, layout), (of_leaf, leaf_layout)) = (tensor.storage_and_layout(), leaf.storage_and_layout());
    std::ptr::eq::<Storage>(&raw const *own, &raw const *of_leaf)
        && layout.contiguous_offsets().is_some()
        && layout.contiguous_offsets() == leaf_layout.contiguous_offsets()
}

impl Op {
    fn gradients(&self, read: &[Tensor], gave: &Tensor, gradient: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Ok(match (self, read) {
            (Self::One(op), [x]) => vec![op.bwd(x, gave, gradient)?],
            (Self::Two(op), [x, y]) => <[_; 2]>::from(op.bwd(x, y, gave, gradient)?).into(),
            (Self::Three(op), [x, y, z]) => <[_; 3]>::from(op.bwd(x, y, z, gave, gradient)?).into(),
            _ => candle_core::bail!("an operation that read {} tensors", read.len()),
        })
    }
}

/// What an operation gives for a tensor.
pub(super) fn apply1<C: CustomOp1 + Send + Sync + 'static>(op: C, x: &Tensor) -> Result<Tensor> {
    if !is_recorded(&[x]) {
        return x.apply_op1(op);
    }
    let given = {
        let (storage, layout) = x.storage_and_layout();
        match &*storage {
            Storage::Cpu(s) => on_cpu(op.cpu_fwd(s, layout)?),
            Storage::Cuda(s) => on_gpu(op.cuda_fwd(s, layout)?),
            Storage::Metal(_) => return refused(op.name()),
        }
    };
    Ok(record(Op::One(Box::new(op)), &[x], given))
}

/// What an operation gives for two tensors.
pub(super) fn apply2<C: CustomOp2 + Send + Sync + 'static>(op: C, [x, y]: [&Tensor; 2]) -> Result<Tensor> {
    if !is_recorded(&[x, y]) {
        return x.apply_op2(y, op);
    }
    let given = {
        let ((s1, l1), (s2, l2)) = (x.storage_and_layout(), y.storage_and_layout());
        match (&*s1, &*s2) {
            (Storage::Cpu(s1), Storage::Cpu(s2)) => on_cpu(op.cpu_fwd(s1, l1, s2, l2)?),
            (Storage::Cuda(s1), Storage::Cuda(s2)) => on_gpu(op.cuda_fwd(s1, l1, s2, l2)?),
            _ => return refused(op.name()),
        }
    };
    Ok(record(Op::Two(Box::new(op)), &[x, y], given))
}

/// What an operation gives for three tensors.
pub(super) fn apply3<C: CustomOp3 + Send + Sync + 'static>(op: C, [x, y, z]: [&Tensor; 3]) -> Result<Tensor> {
    if !is_recorded(&[x, y, z]) {
        return x.apply_op3(y, z, op);
    }
    let given = {
        let [(s1, l1), (s2, l2), (s3, l3)] = [x, y, z].map(Tensor::storage_and_layout);
        match (&*s1, &*s2, &*s3) {
            (Storage::Cpu(s1), Storage::Cpu(s2), Storage::Cpu(s3)) => {
                on_cpu(op.cpu_fwd(s1, l1, s2, l2, s3, l3)?)
            }
            (Storage::Cuda(s1), Storage::Cuda(s2), Storage::Cuda(s3)) => {
                on_gpu(op.cuda_fwd(s1, l1, s2, l2, s3, l3)?)
            }
            _ => return refused(op.name()),
        }
    };
    Ok(record(Op::Three(Box::new(op)), &[x, y, z], given))
}

/// Whether something is learnt through an operation on these tensors, and a recording is open.
fn is_recorded(read: &[&Tensor]) -> bool {
    read.iter().any(|tensor| tensor.track_op()) && OPEN.with_borrow(|open| !open.is_empty())
}

/// The leaf of an operation that is remembered.
fn record(op: Op, read: &[&Tensor], (storage, shape): (Storage, Shape)) -> Tensor {
    let gave = Tensor::from_storage(storage, shape, BackpropOp::none(), true);
    OPEN.with_borrow_mut(|open| {
        if let Some(Some(nodes)) = open.last_mut() {
            nodes.push(Node { op, read: read.iter().copied().cloned().collect(), gave: gave.clone() });
        }
    });
    gave
}

fn on_cpu((storage, shape): (CpuStorage, Shape)) -> (Storage, Shape) {
    (Storage::Cpu(storage), shape)
}

fn on_gpu((storage, shape): (CudaStorage, Shape)) -> (Storage, Shape) {
    (Storage::Cuda(storage), shape)
}

fn refused<T>(op: &str) -> Result<T> {
    candle_core::bail!("{op}: its tensors lie on different devices, or on one without kernels")
}

/// A scalar whose backward is the gradient of a tensor.
struct Seed {
    gradient: Tensor,
}

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let scalar = Shape::from(());
        Ok((storage.device().zeros_impl(&scalar, storage.dtype())?, scalar))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let scalar = Shape::from(());
        Ok((storage.device().zeros_impl(&scalar, storage.dtype())?, scalar))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.gradient.clone()))
    }
}
