//! SageMaker: training jobs, models, endpoints and their tags.
//!
//! One file an operation; what several share is in [`shapes`]. Errors of the domain become AWS's
//! in `errors.rs`.

mod add_tags;
mod create_endpoint;
mod create_endpoint_config;
mod create_model;
mod create_training_job;
mod delete_endpoint;
mod delete_endpoint_config;
mod delete_model;
mod delete_tags;
mod describe_endpoint;
mod describe_endpoint_config;
mod describe_model;
mod describe_training_job;
mod endpoint_failure;
#[cfg(test)]
mod endpoint_page;
mod errors;
mod list_endpoint_configs;
mod list_endpoints;
mod list_models;
mod list_tags;
mod list_training_jobs;
mod shapes;
mod stop_training_job;
mod taggable;
mod update_endpoint;
mod update_endpoint_weights_and_capacities;

use kennel_wire::Protocol;

use crate::limits;
use crate::registry::{Service, operations, raw_operations};

pub static SERVICE: Service = Service {
    name: "sagemaker",
    scope: "sagemaker",
    target: Some("SageMaker"),
    version: "2017-07-24",
    xml_namespace: None,
    protocols: &[Protocol::Json11],
    any_region: false,
    body_bytes_max: limits::JSON_BODY_BYTES_MAX,
    operations: operations![
        add_tags::AddTags,
        create_endpoint::CreateEndpoint,
        create_endpoint_config::CreateEndpointConfig,
        create_model::CreateModel,
        create_training_job::CreateTrainingJob,
        delete_endpoint::DeleteEndpoint,
        delete_endpoint_config::DeleteEndpointConfig,
        delete_model::DeleteModel,
        delete_tags::DeleteTags,
        describe_endpoint::DescribeEndpoint,
        describe_endpoint_config::DescribeEndpointConfig,
        describe_model::DescribeModel,
        describe_training_job::DescribeTrainingJob,
        list_endpoint_configs::ListEndpointConfigs,
        list_endpoints::ListEndpoints,
        list_models::ListModels,
        list_tags::ListTags,
        list_training_jobs::ListTrainingJobs,
        stop_training_job::StopTrainingJob,
        update_endpoint::UpdateEndpoint,
        update_endpoint_weights_and_capacities::UpdateEndpointWeightsAndCapacities,
    ],
    raw: raw_operations![],
};
