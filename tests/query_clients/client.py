"""Asks an agent what the users of prometheus-api-client ask a Prometheus."""

import sys
from datetime import datetime, timedelta

from prometheus_api_client import PrometheusConnect

url, last = sys.argv[1], int(sys.argv[2])
end = datetime.fromtimestamp(last)
client = PrometheusConnect(url=url)

assert client.check_prometheus_connection()
assert {"temperature_celsius", "requests_total"} <= set(client.all_metrics())
assert client.get_label_values("job") == ["bank", "shop"]
assert "code" in client.get_label_names()

found = client.get_current_metric_value("temperature_celsius", {"job": "shop"})
assert [sample["value"][1] for sample in found] == ["22.25"], found

at_the_end = {"time": str(last)}
found = client.custom_query("sum by (code) (rate(requests_total[5m]))", params=at_the_end)
rates = {sample["metric"]["code"]: float(sample["value"][1]) for sample in found}
assert rates["200"] == 1 and abs(rates["500"] - 0.1) < 1e-9, found

found = client.custom_query_range(
    "max(temperature_celsius)", start_time=end - timedelta(minutes=5), end_time=end, step="60"
)
values = [float(value) for _, value in found[0]["values"]]
assert values == [26, 25, 24, 23, 22, 22.25], found

found = client.get_metric_range_data(
    "temperature_celsius", {"job": "bank"}, start_time=end - timedelta(minutes=3), end_time=end
)
assert len(found) == 1 and len(found[0]["values"]) >= 3, found
