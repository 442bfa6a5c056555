//! What requests change: they record what is wanted, the reconciler makes it so.

use kennel_store::{Expect, Write};

use super::config::{self, EndpointConfig, VariantConfig};
use super::record::{Endpoint, Fleet, Replica, Status, Undo, Variant, new_instance_id};
use super::{Endpoints, Error};
use crate::limits::COMMIT_ATTEMPTS_MAX;
use crate::model::Model;
use crate::names::EntityName;
use crate::tags::{self, Tag};

/// What CreateEndpointConfig asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConfig {
    pub name: EntityName,
    pub variants: Vec<VariantConfig>,
    pub kms_key_id: Option<String>,
    pub tags: Vec<Tag>,
}

/// Which properties of variants with the same name an update leaves as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retain {
    pub instance_counts: bool,
    pub weights: bool,
}

/// A change of one variant of a serving endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub variant: EntityName,
    pub weight: Option<f64>,
    pub instance_count: Option<u32>,
}

impl Endpoints {
    pub async fn create_config(&self, new: NewConfig) -> Result<EndpointConfig, Error> {
        for variant in &new.variants {
            self.model(&variant.model_name).await?;
        }
        let config = EndpointConfig {
            name: new.name,
            variants: new.variants,
            kms_key_id: new.kms_key_id,
            created_at_ms: self.clock.now_ms(),
        };
        let writes = vec![
            self.configs.put(&config.name.key(), &config, Expect::Absent)?,
            tags::on_create(&self.config_arn(&config.name), &new.tags),
        ];
        match self.configs.commit(writes).await {
            Err(error) if error.is_conflict() => Err(Error::ConfigExists(config.name)),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(config),
        }
    }

    pub async fn delete_config(&self, name: &EntityName) -> Result<(), Error> {
        let key = name.key();
        let Some((config, revision)) = self.configs.get(&key).await? else {
            return Err(Error::ConfigAbsent(name.clone()));
        };
        let writes = vec![
            self.configs.delete(&key, Expect::Revision(revision)),
            tags::on_delete(&self.config_arn(&config.name)),
        ];
        match self.configs.commit(writes).await {
            // Somebody else deleted it between the two lines above.
            Err(error) if error.is_conflict() => Err(Error::ConfigAbsent(name.clone())),
            other => Ok(other?),
        }
    }

    /// Recorded as Creating; [`Endpoints::run`] starts the replicas.
    pub async fn create(
        &self,
        name: EntityName,
        config_name: &EntityName,
        tags: &[Tag],
    ) -> Result<Endpoint, Error> {
        let now_ms = self.clock.now_ms();
        let (config, check) = self.config_to_use(config_name).await?;
        let models = self.models_of(&config).await?;
        let next = self.fleet(&config, &models, None, Retain::default())?;
        let endpoint = Endpoint {
            name,
            config_name: config.name,
            status: Status::Creating,
            failure_reason: None,
            created_at_ms: now_ms,
            modified_at_ms: now_ms,
            starts: 0,
            serving: None,
            next: Some(next),
            retired: Vec::new(),
            undo: Vec::new(),
        };
        let key = endpoint.name.key();
        if self.endpoints.exists(&key).await? {
            return Err(Error::Exists(endpoint.name));
        }
        let writes = vec![
            self.endpoints.put(&key, &endpoint, Expect::Absent)?,
            tags::on_create(&self.arn(&endpoint.name), tags),
            check,
        ];
        match self.endpoints.commit(writes).await {
            Err(error) if error.is_conflict() => {
                if self.endpoints.exists(&key).await? {
                    return Err(Error::Exists(endpoint.name));
                }
                Err(Error::ConfigAbsent(config_name.clone()))
            }
            Err(error) => Err(error.into()),
            Ok(()) => Ok(endpoint),
        }
    }

    /// A new fleet is started beside the one that serves and takes over once it is ready.
    pub async fn update(
        &self,
        name: &EntityName,
        config_name: &EntityName,
        retain: Retain,
    ) -> Result<Endpoint, Error> {
        self.get(name).await?;
        let (config, check) = self.config_to_use(config_name).await?;
        let models = self.models_of(&config).await?;
        self.change(name, vec![check], |endpoint| {
            refuse_unless_in_service(endpoint)?;
            let next = self.fleet(&config, &models, endpoint.serving.as_ref(), retain)?;
            endpoint.next = Some(next);
            endpoint.status = Status::Updating;
            endpoint.failure_reason = None;
            Ok(())
        })
        .await
    }

    /// Takes the endpoint out of service; its record goes once nothing of it runs. Idempotent
    /// until then, for a client that did not hear the first answer.
    pub async fn delete(&self, name: &EntityName) -> Result<(), Error> {
        let deleted = self.change(name, Vec::new(), |endpoint| {
            match endpoint.status {
                Status::InService | Status::Failed => {}
                Status::Deleting => return Ok(()),
                Status::Creating | Status::Updating | Status::RollingBack => {
                    return Err(Error::InProgress(endpoint.name.clone()));
                }
            }
            let now_ms = self.clock.now_ms();
            for fleet in [endpoint.serving.take(), endpoint.next.take()].into_iter().flatten() {
                endpoint.retire_fleet(fleet, now_ms);
            }
            endpoint.status = Status::Deleting;
            Ok(())
        });
        let endpoint = deleted.await?;
        // No request that comes after the answer is served.
        self.router.remove(&endpoint.name.key());
        Ok(())
    }

    /// Weights change at once; instances come and go as in an update.
    pub async fn update_weights_and_capacities(
        &self,
        name: &EntityName,
        desired: &[Desired],
    ) -> Result<Endpoint, Error> {
        self.change(name, Vec::new(), |endpoint| {
            refuse_unless_in_service(endpoint)?;
            let Some(mut fleet) = endpoint.serving.take() else {
                return Err(Error::NotInService(endpoint.name.clone()));
            };
            let undo = |variant: &Variant| Undo {
                variant: variant.config.name.clone(),
                weight: variant.weight,
                instances: variant.replicas.len(),
            };
            endpoint.undo = fleet.variants.iter().map(undo).collect();
            for change in desired {
                self.apply(endpoint, &mut fleet, change)?;
            }
            endpoint.serving = Some(fleet);
            endpoint.status = Status::Updating;
            endpoint.failure_reason = None;
            Ok(())
        })
        .await
    }

    fn apply(
        &self,
        endpoint: &mut Endpoint,
        fleet: &mut Fleet,
        change: &Desired,
    ) -> Result<(), Error> {
        let named = |variant: &&mut Variant| variant.config.name == change.variant;
        let Some(variant) = fleet.variants.iter_mut().find(named) else {
            return Err(Error::VariantAbsent(change.variant.clone()));
        };
        if let Some(weight) = change.weight {
            variant.weight = weight;
        }
        let wanted = change.instance_count.map_or(variant.replicas.len(), |count| count as usize);
        while variant.replicas.len() < wanted {
            variant.replicas.push(Replica::new(new_instance_id().ok_or(Error::Random)?));
        }
        let now_ms = self.clock.now_ms();
        for replica in variant.replicas.split_off(wanted) {
            endpoint.retire(replica.run, now_ms);
        }
        Ok(())
    }

    /// Reads, changes and writes the record until nobody else wrote it in between.
    async fn change(
        &self,
        name: &EntityName,
        checks: Vec<Write>,
        apply: impl Fn(&mut Endpoint) -> Result<(), Error> + Send,
    ) -> Result<Endpoint, Error> {
        let key = name.key();
        let mut attempts = 0;
        loop {
            let Some((mut endpoint, revision)) = self.endpoints.get(&key).await? else {
                return Err(Error::Absent(name.clone()));
            };
            apply(&mut endpoint)?;
            endpoint.modified_at_ms = self.clock.now_ms();
            let mut writes =
                vec![self.endpoints.put(&key, &endpoint, Expect::Revision(revision))?];
            writes.extend(checks.iter().cloned());
            attempts += 1;
            match self.endpoints.commit(writes).await {
                Ok(()) => return Ok(endpoint),
                Err(error) if error.is_conflict() && attempts < COMMIT_ATTEMPTS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The configuration, and a check that it is still there when its endpoint is recorded.
    async fn config_to_use(&self, name: &EntityName) -> Result<(EndpointConfig, Write), Error> {
        let key = name.key();
        let Some((config, revision)) = self.configs.get(&key).await? else {
            return Err(Error::ConfigAbsent(name.clone()));
        };
        let expect = Expect::Revision(revision);
        Ok((config, Write::Check { table: config::TABLE, key, expect }))
    }

    /// The models of the variants, in their order.
    async fn models_of(&self, config: &EndpointConfig) -> Result<Vec<Model>, Error> {
        let mut models = Vec::with_capacity(config.variants.len());
        for variant in &config.variants {
            models.push(self.model(&variant.model_name).await?);
        }
        Ok(models)
    }

    fn fleet(
        &self,
        config: &EndpointConfig,
        models: &[Model],
        old: Option<&Fleet>,
        retain: Retain,
    ) -> Result<Fleet, Error> {
        let mut variants = Vec::with_capacity(config.variants.len());
        for (variant, model) in config.variants.iter().zip(models) {
            let same = |old: &&Variant| old.config.name == variant.name;
            let old = old.and_then(|fleet| fleet.variants.iter().find(same));
            let count = match old {
                Some(old) if retain.instance_counts => old.replicas.len(),
                _ => variant.instance_count as usize,
            };
            let weight = match old {
                Some(old) if retain.weights => old.weight,
                _ => variant.weight,
            };
            let replicas =
                (0..count).map(|_| Ok(Replica::new(new_instance_id().ok_or(Error::Random)?)));
            variants.push(Variant {
                config: variant.clone(),
                model: model.clone(),
                weight,
                replicas: replicas.collect::<Result<_, Error>>()?,
            });
        }
        Ok(Fleet { config_name: config.name.clone(), since_ms: self.clock.now_ms(), variants })
    }

    async fn model(&self, name: &EntityName) -> Result<Model, Error> {
        match self.models.get(&name.key()).await? {
            Some((model, _)) => Ok(model),
            None => Err(Error::ModelAbsent(name.clone())),
        }
    }
}

fn refuse_unless_in_service(endpoint: &Endpoint) -> Result<(), Error> {
    match endpoint.status {
        Status::InService => Ok(()),
        Status::Failed => Err(Error::NotInService(endpoint.name.clone())),
        Status::Creating | Status::Updating | Status::RollingBack | Status::Deleting => {
            Err(Error::InProgress(endpoint.name.clone()))
        }
    }
}
