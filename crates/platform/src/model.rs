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
