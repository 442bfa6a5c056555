//! Models: an image, an artifact, an environment and a role under a name.
//!
//! A model is a record and nothing else: it never changes after it was created, and an endpoint
//! takes a copy of it, so that deleting a model does not touch what serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use kennel_store::Expect;
use kennel_wire::run::Program;
use serde::{Deserialize, Serialize};

use crate::endpoint::listing::{Filter, Order, Page, Position, SortBy, page};
use crate::endpoint::table::{self, Table};
use crate::names::{EntityName, RoleArn, S3Location};
use crate::objects::{self, Objects};
use crate::runs::{Refused, Runs};
use crate::tags::{self, Tag};
use crate::{Backends, Clock, Config, image};

pub const TABLE: &str = "models";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub name: EntityName,
    pub role: RoleArn,
    pub container: Container,
    /// Given as the one element of `Containers`, and shown there.
    pub in_list: bool,
    pub network_isolation: bool,
    pub vpc: Option<Vpc>,
    pub created_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub hostname: Option<String>,
    /// As it was given; [`image::resolve`] says what runs for it.
    pub image: String,
    pub artifact: Option<Artifact>,
    pub environment: BTreeMap<String, String>,
}

/// A `model.tar.gz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    pub location: S3Location,
    /// Which member it was given in, and is shown in.
    pub given: ArtifactMember,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactMember {
    ModelDataUrl,
    ModelDataSource,
}

/// Stored and shown; it changes nothing here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    pub security_group_ids: Vec<String>,
    pub subnets: Vec<String>,
}

/// What CreateModel asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewModel {
    pub name: EntityName,
    pub role: RoleArn,
    pub container: Container,
    pub in_list: bool,
    pub network_isolation: bool,
    pub vpc: Option<Vpc>,
    pub tags: Vec<Tag>,
}

/// Creates, shows and deletes models.
pub struct Models {
    config: Config,
    clock: Arc<dyn Clock>,
    table: Table<Model>,
    objects: Arc<Objects>,
    runs: Arc<Runs>,
}

impl Models {
    pub fn new(
        config: &Config,
        backends: &Backends,
        objects: Arc<Objects>,
        runs: Arc<Runs>,
    ) -> Self {
        Self {
            config: config.clone(),
            clock: Arc::clone(&backends.clock),
            table: Table::new(Arc::clone(&backends.records), TABLE),
            objects,
            runs,
        }
    }

    /// Refuses what could never serve: an image this version does not run, an artifact that is
    /// not there, a program this machine cannot confine.
    pub async fn create(&self, new: NewModel) -> Result<Model, Error> {
        let Some(program) = image::resolve(&new.container.image) else {
            return Err(Error::Image(new.container.image));
        };
        self.runs.can_run(&program).map_err(Error::Refused)?;
        self.check_artifact(&program, &new).await?;
        let model = Model {
            name: new.name,
            role: new.role,
            container: new.container,
            in_list: new.in_list,
            network_isolation: new.network_isolation,
            vpc: new.vpc,
            created_at_ms: self.clock.now_ms(),
        };
        let writes = vec![
            self.table.put(&model.name.key(), &model, Expect::Absent)?,
            tags::on_create(&self.arn(&model.name), &new.tags),
        ];
        match self.table.commit(writes).await {
            Err(error) if error.is_conflict() => Err(Error::Exists(model.name)),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(model),
        }
    }

    pub async fn get(&self, name: &EntityName) -> Result<Model, Error> {
        match self.table.get(&name.key()).await? {
            Some((model, _)) => Ok(model),
            None => Err(Error::Absent(name.clone())),
        }
    }

    pub async fn exists(&self, name: &str) -> Result<bool, Error> {
        Ok(self.table.exists(&name.to_ascii_lowercase()).await?)
    }

    pub async fn list(&self, filter: &Filter, order: &Order) -> Result<Page<Model>, Error> {
        let mut models = self.table.list().await?;
        models.retain(|model| {
            filter.takes(model.name.as_str(), model.created_at_ms, model.created_at_ms)
        });
        Ok(page(models, order, |model| Position {
            rank: match order.by {
                SortBy::Name | SortBy::Status => 0,
                SortBy::CreationTime => model.created_at_ms,
            },
            name: model.name.key(),
        }))
    }

    pub async fn delete(&self, name: &EntityName) -> Result<(), Error> {
        let key = name.key();
        let Some((model, revision)) = self.table.get(&key).await? else {
            return Err(Error::Absent(name.clone()));
        };
        let writes = vec![
            self.table.delete(&key, Expect::Revision(revision)),
            tags::on_delete(&self.arn(&model.name)),
        ];
        match self.table.commit(writes).await {
            // Somebody else deleted it between the two lines above.
            Err(error) if error.is_conflict() => Err(Error::Absent(name.clone())),
            other => Ok(other?),
        }
    }

    pub fn arn(&self, name: &EntityName) -> String {
        let Config { region, account, .. } = &self.config;
        format!("arn:aws:sagemaker:{region}:{account}:model/{}", name.key())
    }

    async fn check_artifact(&self, program: &Program, new: &NewModel) -> Result<(), Error> {
        let Some(artifact) = &new.container.artifact else {
            return match program {
                Program::ImageClassification => Err(Error::ArtifactRequired),
            };
        };
        let location = &artifact.location;
        match self.objects.head(&location.bucket, &location.key).await {
            Ok(_) => Ok(()),
            Err(objects::Error::NoSuchBucket(_) | objects::Error::NoSuchKey(_)) => {
                Err(Error::ArtifactAbsent { location: location.clone(), role: new.role.clone() })
            }
            Err(error) => Err(Error::Objects(error)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("model `{}` exists", .0.as_str())]
    Exists(EntityName),
    #[error("no model `{}`", .0.as_str())]
    Absent(EntityName),
    #[error("no program for the image `{0}`")]
    Image(String),
    #[error("this image needs a model artifact")]
    ArtifactRequired,
    #[error("no object at `{location}`")]
    ArtifactAbsent { location: S3Location, role: RoleArn },
    #[error("this host cannot run it")]
    Refused(#[source] Refused),
    #[error("the objects cannot be read")]
    Objects(#[source] objects::Error),
    #[error(transparent)]
    Table(#[from] table::Error),
}

#[cfg(test)]
mod tests {
    use kennel_exec::ScriptedExecutor;
    use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};

    use super::*;
    use crate::Platform;
    use crate::clock::ManualClock;
    use crate::identity::RootKey;
    use crate::objects::{Condition, NewObject};

    const ARTIFACT: &str = "s3://models/dogs/model.tar.gz";

    #[tokio::test]
    async fn a_model_is_kept_with_its_tags_until_it_is_deleted() {
        let World { platform, .. } = world().await;
        let tags = vec![Tag { key: "team".to_owned(), value: "kennel".to_owned() }];
        let new = NewModel { tags: tags.clone(), ..new("Dogs", Some(ARTIFACT)) };
        let made = platform.models.create(new.clone()).await.unwrap();
        let arn = platform.models.arn(&made.name);
        assert_eq!(arn, "arn:aws:sagemaker:us-east-1:123456789012:model/dogs");
        assert_eq!(platform.models.get(&name("DOGS")).await.unwrap(), made);
        assert_eq!(platform.tags.list(&arn).await.unwrap(), tags);
        let again = platform.models.create(new).await;
        assert!(matches!(again, Err(Error::Exists(_))));
        platform.models.delete(&name("dogs")).await.unwrap();
        assert!(matches!(platform.models.delete(&name("dogs")).await, Err(Error::Absent(_))));
        assert!(platform.tags.list(&arn).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_could_not_serve_is_refused() {
        let World { platform, .. } = world().await;
        let create = async |new: NewModel| platform.models.create(new).await.unwrap_err();
        assert!(matches!(create(new("dogs", None)).await, Error::ArtifactRequired));
        for absent in ["s3://models/none.tar.gz", "s3://nowhere/model.tar.gz"] {
            let error = create(new("dogs", Some(absent))).await;
            assert!(matches!(error, Error::ArtifactAbsent { .. }), "{error}");
        }
        let mut foreign = new("dogs", Some(ARTIFACT));
        foreign.container.image = "somebody/else:1".to_owned();
        assert!(matches!(create(foreign).await, Error::Image(_)));
        assert!(!platform.models.exists("dogs").await.unwrap());
    }

    #[tokio::test]
    async fn models_are_listed_newest_first_and_by_name() {
        let World { platform, clock, .. } = world().await;
        for model in ["b", "a", "c"] {
            platform.models.create(new(model, Some(ARTIFACT))).await.unwrap();
            clock.advance_ms(1);
        }
        let listed = async |by, descending| {
            let order = Order { by, descending, after: None, limit: 10 };
            let page = platform.models.list(&Filter::default(), &order).await.unwrap();
            page.items.iter().map(|model| model.name.key()).collect::<String>()
        };
        assert_eq!(listed(SortBy::CreationTime, true).await, "cab");
        assert_eq!(listed(SortBy::Name, false).await, "abc");
    }

    struct World {
        platform: Platform,
        clock: Arc<ManualClock>,
        _data_dir: tempfile::TempDir,
    }

    async fn world() -> World {
        let data_dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_ms(1_700_000_000_000));
        let backends = Backends {
            records: Arc::new(MemoryRecords::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            streams: Arc::new(MemoryStreams::new()),
            clock: clock.clone(),
        };
        let config = Config {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            api_endpoint: "http://127.0.0.1:1".to_owned(),
            data_dir: data_dir.path().to_owned(),
        };
        let executor = Arc::new(ScriptedExecutor::new());
        let key = RootKey::random().unwrap();
        let platform = Platform::open(config, backends, key, executor).await.unwrap();
        let objects = &platform.objects;
        objects.create_bucket("models", Default::default()).await.unwrap();
        let body: Vec<Result<_, objects::BodyError>> = vec![Ok(bytes::Bytes::from("archive"))];
        let mut body: objects::Body<'_> = Box::pin(futures::stream::iter(body));
        let received = objects.receive(&mut body, &[], u64::MAX).await.unwrap();
        let (new, any) = (NewObject::default(), Condition::None);
        objects.put("models", "dogs/model.tar.gz", received, new, &any).await.unwrap();
        World { platform, clock, _data_dir: data_dir }
    }

    fn new(model: &str, artifact: Option<&str>) -> NewModel {
        let artifact = artifact.map(|uri| Artifact {
            location: S3Location::parse(uri).unwrap(),
            given: ArtifactMember::ModelDataUrl,
        });
        NewModel {
            name: name(model),
            role: RoleArn::parse("arn:aws:iam::123456789012:role/kennel").unwrap(),
            container: Container {
                hostname: None,
                image: image::IMAGE_CLASSIFICATION.to_owned(),
                artifact,
                environment: BTreeMap::new(),
            },
            in_list: false,
            network_isolation: false,
            vpc: None,
            tags: Vec::new(),
        }
    }

    fn name(text: &str) -> EntityName {
        EntityName::parse(text).unwrap()
    }
}
