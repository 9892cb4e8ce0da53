# Turns a CloudNativePG Cluster that the chart made into one that begins with its own backups, as it
# was at a moment: jq --arg at '2026-11-27 18:30:00+00' -f k8s/restore.jq
"barman-cloud.cloudnative-pg.io" as $plugin
| .metadata.name as $name
| (.spec.plugins // [] | map(.name) | index($plugin)) as $at_plugin
| if $at_plugin == null then error("\($name) has no backups: databases.backup.enabled") else . end
| (.spec.plugins[$at_plugin].parameters.serverName // $name) as $server
| del(.status)
| .metadata |= {name, namespace, labels, annotations}
| .metadata |= with_entries(select(.value != null))
| .spec.bootstrap = {recovery: {source: "before", recoveryTarget: {targetTime: $at}}}
| .spec.externalClusters = [{
    name: "before",
    plugin: {name: $plugin, parameters: {barmanObjectName: $name, serverName: $server}}
  }]
# What it archives from now on is another history, in a folder of its own.
| .spec.plugins[$at_plugin].parameters.serverName = "\($name)-\($at | gsub("[^0-9]"; ""))"
