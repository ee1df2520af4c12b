//! ConfigMaps with versions: a change that names an old one is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::server::Answer;

#[derive(Default)]
pub struct ConfigMaps {
    maps: BTreeMap<String, Value>,
    version: u64,
}

impl ConfigMaps {
    pub fn objects(&self, namespace: Option<&str>) -> Vec<Value> {
        let here = |map: &&Value| namespace.is_none_or(|namespace| map["metadata"]["namespace"] == namespace);
        self.maps.values().filter(here).cloned().collect()
    }

    /// What is kept under a key, read as JSON.
    pub fn kept(&self, name: &str, key: &str) -> Value {
        self.maps.get(name).and_then(|map| serde_json::from_str(map["data"][key].as_str()?).ok()).unwrap_or_default()
    }

    pub fn create(&mut self, namespace: &str, mut map: Value) -> Answer {
        let name = map["metadata"]["name"].as_str().unwrap().to_owned();
        if self.maps.contains_key(&name) {
            return Answer::error(409, format!("configmaps \"{name}\" already exists"));
        }
        map["metadata"]["namespace"] = json!(namespace);
        Answer::Json(self.store(&name, map))
    }

    pub fn merge(&mut self, name: &str, patch: &Value) -> Answer {
        let Some(mut map) = self.maps.get(name).cloned() else {
            return Answer::error(404, format!("configmaps \"{name}\" not found"));
        };
        assert!(patch["metadata"]["resourceVersion"].is_string(), "every change names the version it is made for");
        if patch["metadata"]["resourceVersion"] != map["metadata"]["resourceVersion"] {
            return Answer::error(
                409,
                format!("Operation cannot be fulfilled on configmaps \"{name}\": the object has been modified"),
            );
        }
        for (key, value) in patch["data"].as_object().unwrap() {
            let data = map["data"].as_object_mut().unwrap();
            match value {
                Value::Null => drop(data.remove(key)),
                value => drop(data.insert(key.clone(), value.clone())),
            }
        }
        Answer::Json(self.store(name, map))
    }

    fn store(&mut self, name: &str, mut map: Value) -> Value {
        self.version += 1;
        map["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.maps.insert(name.to_owned(), map.clone());
        map
    }
}
