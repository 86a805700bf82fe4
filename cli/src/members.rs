//! The members of a composition on this machine.

use std::path::{Path, PathBuf};

use hub_client::{
    generation::{Generator, image_prompt},
    predict::{Assembly, Predictor},
    training::ON_TOP_OF,
};
use hub_formats::checkpoint::{
    AdapterFolder, BaseFolder, CheckpointError, base_sentence_head, is_sentence_folder,
};
use hub_schemas::{
    Digest, Reference, head::Head, layout::ModelClass, manifest::ArtifactKind, method::CompositionMember,
};

use crate::{
    args::{forward::NamedFolder, stitch::StitchArgs},
    context::Context,
    failure::UserError,
    locate::FoundAdapter,
};

/// What stands for no adapter, as in compositions.
const NO_ADAPTER: &str = "None";

/// A model with what to call it in messages.
pub(crate) enum Opened {
    /// It predicts.
    Predicts(String, Box<Predictor>),
    /// It writes.
    Answers(String, Box<Generator>),
}

impl Context {
    /// The adapter that `text` names, with its members when it is a composition, in its backbone.
    pub(crate) fn open_predictor(
        &self,
        text: &str,
        base: Option<&Path>,
        force: bool,
        args: &StitchArgs,
    ) -> anyhow::Result<(FoundAdapter, Predictor)> {
        let adapter = self.find_adapter(text, base)?;
        self.tell_what_is_below(&adapter);
        let wanted = adapter.manifest.as_ref().map(|manifest| &manifest.base);
        let found = self.find_base(wanted, base, force)?;
        let folder = AdapterFolder::open(&adapter.folder)?;
        let members = self.find_members(&folder, &args.members)?;
        let assembly = assembly(&folder, &members, args, None);
        let predictor = Predictor::assemble(&found.folder, &assembly, &args.compute.open()?)?;
        Ok((adapter, predictor))
    }

    /// The model that an adapter makes of a backbone: one that predicts, or one that writes. `None`
    /// stands for no adapter.
    pub(crate) fn open_model(
        &self,
        text: &str,
        base: Option<&Path>,
        force: bool,
        args: &StitchArgs,
    ) -> anyhow::Result<Opened> {
        if text == NO_ADAPTER {
            let found = self.find_base(None, base, force)?;
            if let Some(predictor) = of_sentences(&found.folder, args)? {
                self.tell_vectors("base model", &predictor);
                return Ok(Opened::Predicts(NO_ADAPTER.to_owned(), Box::new(predictor)));
            }
            let generator = Generator::assemble(&found.folder, None, &args.compute.open()?)?;
            return Ok(Opened::Answers(NO_ADAPTER.to_owned(), Box::new(generator)));
        }
        let adapter = self.find_adapter(text, base)?;
        self.tell_what_is_below(&adapter);
        let wanted = adapter.manifest.as_ref().map(|manifest| &manifest.base);
        let found = self.find_base(wanted, base, force)?;
        let folder = AdapterFolder::open(&adapter.folder)?;
        let members = self.find_members(&folder, &args.members)?;
        let vision = self.find_vision(&folder, &members, args, force)?;
        let assembly = assembly(&folder, &members, args, vision);
        if writes(&folder, &found.folder)? {
            let generator = Generator::assemble(&found.folder, Some(&assembly), &args.compute.open()?)?;
            return Ok(Opened::Answers(adapter.title, Box::new(generator)));
        }
        let predictor = Predictor::assemble(&found.folder, &assembly, &args.compute.open()?)?;
        match (&folder.head, is_sentence_folder(&folder.path)?) {
            (None, _) => self.tell_vectors("base model", &predictor),
            (Some(_), true) => self.tell_vectors("adapter", &predictor),
            (Some(_), false) => {}
        }
        Ok(Opened::Predicts(adapter.title, Box::new(predictor)))
    }

    /// Which vectors a folder of `sentence-transformers` states.
    fn tell_vectors(&self, whose: &str, predictor: &Predictor) {
        if let Some(head) = predictor.vectors() {
            let stated = head.summary();
            self.printer.status(&format!("vectors as the {whose}'s `modules.json` states them: {stated}"));
        }
    }

    /// The backbone that looks at pictures, where one of these adapters describes them.
    fn find_vision(
        &self,
        adapter: &AdapterFolder,
        members: &[(String, AdapterFolder)],
        args: &StitchArgs,
        force: bool,
    ) -> anyhow::Result<Option<PathBuf>> {
        let mut all = members.iter().map(|(_, folder)| folder).chain([adapter]);
        match all.find_map(|folder| image_prompt(&folder.method)) {
            Some(image) => {
                let found = self.find_base(Some(&image.base), args.vision.as_deref(), force)?;
                Ok(Some(found.folder))
            }
            None if args.vision.is_some() => {
                let path = adapter.path.display();
                let reason = format!("`{path}` sees no pictures: `--vision` has nothing to do");
                Err(UserError::new(reason).into())
            }
            None => Ok(None),
        }
    }

    /// An adapter that was trained on top of others computes something else alone.
    fn tell_what_is_below(&self, adapter: &FoundAdapter) {
        let recipe = adapter.manifest.as_ref().and_then(|manifest| manifest.training.as_ref());
        let below = recipe.and_then(|recipe| recipe.hyper_parameters.get(ON_TOP_OF)?.as_str());
        let Some(below) = below else { return };
        // Without the digests.
        let name = |stated: &str| format!("`{}`", stated.split(' ').next().unwrap_or(stated));
        let below: Vec<String> = below.split(", ").map(name).collect();
        let (title, below) = (&adapter.title, below.join(", "));
        self.printer
            .warn(&format!("`{title}` was trained on top of {below}; alone it computes something else"));
        self.printer
            .hint("stack it with `hub compose \"Stack(below, top)\" --adapter below=DIR --adapter top=DIR`");
    }

    /// The folders of the members of `composition`, each with the weights that it was made
    /// with: those that were `given`, else where they were when it was made, else from the
    /// cache or the registry. Empty for an adapter that is no composition.
    pub(crate) fn find_members(
        &self,
        composition: &AdapterFolder,
        given: &[NamedFolder],
    ) -> anyhow::Result<Vec<(String, AdapterFolder)>> {
        let Some(config) = composition.composition() else {
            if given.is_empty() {
                return Ok(Vec::new());
            }
            let reason = format!("`{}` is no composition: it has no members", composition.path.display());
            return Err(UserError::new(reason).hint("leave out `--member`").into());
        };
        let given = self.open_given(given)?;
        let noted = composition.noted_members();
        let mut fetched: Option<Vec<(Digest, PathBuf)>> = None;
        let mut members = Vec::with_capacity(config.members.len());
        for member in &config.members {
            if let Some(folder) = choose_given(member, &given)? {
                members.push((member.name.clone(), folder));
                continue;
            }
            let near = noted.get(&member.name).and_then(|path| AdapterFolder::open(path).ok());
            if let Some(folder) = near.filter(|f| f.content_digest().is_ok_and(|d| d == member.digest)) {
                members.push((member.name.clone(), folder));
                continue;
            }
            let fetched = match &mut fetched {
                Some(fetched) => fetched,
                none => none.insert(self.fetch_members(composition)?),
            };
            let Some((_, path)) = fetched.iter().find(|(digest, _)| *digest == member.digest) else {
                return Err(missing(member, composition).into());
            };
            members.push((member.name.clone(), AdapterFolder::open(path)?));
        }
        Ok(members)
    }

    fn open_given(&self, given: &[NamedFolder]) -> anyhow::Result<Vec<Given>> {
        let open = |named: &NamedFolder| {
            let found = self.find_adapter(&named.folder.to_string_lossy(), None)?;
            let digest = AdapterFolder::open(&found.folder)?.content_digest()?;
            Ok(Given { name: named.name.clone(), path: found.folder, digest })
        };
        given.iter().map(open).collect()
    }

    /// The published members, with the digests of their content.
    fn fetch_members(&self, composition: &AdapterFolder) -> anyhow::Result<Vec<(Digest, PathBuf)>> {
        let dependencies = composition.manifest.iter().flat_map(|manifest| &manifest.dependencies);
        let mut found = Vec::new();
        for dependency in dependencies.filter(|d| d.name.namespace.as_str() != "local") {
            let version = Some(dependency.version.clone());
            let reference = Reference::Adapter { id: dependency.name.clone(), version };
            let (_, pulled) = self.fetch(&reference, None, Some(ArtifactKind::Adapter))?;
            let content = pulled.entry.manifest.into_adapter()?.content_digest();
            found.push((content, pulled.entry.folder));
        }
        Ok(found)
    }
}

/// An adapter that was named as a member.
struct Given {
    name: Option<String>,
    path: PathBuf,
    digest: Digest,
}

fn assembly<'a>(
    folder: &'a AdapterFolder,
    members: &'a [(String, AdapterFolder)],
    args: &StitchArgs,
    vision: Option<PathBuf>,
) -> Assembly<'a> {
    Assembly {
        folder,
        members,
        skip_layers: args.skip_layers.0.clone(),
        max_length: args.max_length,
        doc_stride: args.doc_stride,
        vision,
    }
}

/// The vectors that a base model's folder states; `None` where it states none.
fn of_sentences(base: &Path, args: &StitchArgs) -> anyhow::Result<Option<Predictor>> {
    if !base.is_dir() || !is_sentence_folder(base)? {
        return Ok(None);
    }
    let folder = BaseFolder::open(base)?;
    match base_sentence_head(base, &folder.config().shape)? {
        Some(head) if args.doc_stride.is_none() => {
            let compute = args.compute.open()?;
            Ok(Some(Predictor::of_sentences(&folder, &head, args.max_length, &compute)?))
        }
        Some(_) => {
            Err(UserError::new("vectors are read of no windows: `--doc-stride` has nothing to set").into())
        }
        None => Ok(None),
    }
}

/// Whether an adapter has a language model's head, or the backbone's is left to it.
fn writes(adapter: &AdapterFolder, base: &Path) -> Result<bool, CheckpointError> {
    if let Some(head) = &adapter.head {
        return Ok(matches!(head, Head::CausalLm(_) | Head::Seq2SeqLm(_)));
    }
    let base = BaseFolder::open(base)?;
    Ok(base.model_class().is_some_and(ModelClass::writes))
}

/// The given adapter with the member's name or, without a name, with its content.
fn choose_given(member: &CompositionMember, given: &[Given]) -> anyhow::Result<Option<AdapterFolder>> {
    let named = given.iter().find(|given| given.name.as_deref() == Some(member.name.as_str()));
    if let Some(other) = named.filter(|given| given.digest != member.digest) {
        let reason = format!(
            "`{}` is not the member `{}` of the composition: its content is {}, the composition was made with {}",
            other.path.display(),
            member.name,
            other.digest,
            member.digest
        );
        return Err(UserError::new(reason)
            .hint("pass the adapter that the composition was made with, or compose again")
            .into());
    }
    let by_content = || given.iter().find(|given| given.name.is_none() && given.digest == member.digest);
    let chosen: Option<Result<AdapterFolder, CheckpointError>> =
        named.or_else(by_content).map(|given| AdapterFolder::open(&given.path));
    Ok(chosen.transpose()?)
}

fn missing(member: &CompositionMember, composition: &AdapterFolder) -> UserError {
    let reason = format!(
        "the member `{}` of `{}` is not where it was when the composition was made, and no published adapter has its content",
        member.name,
        composition.path.display()
    );
    UserError::new(reason).hint(format!("name its folder: `--member {}=DIR`", member.name))
}
