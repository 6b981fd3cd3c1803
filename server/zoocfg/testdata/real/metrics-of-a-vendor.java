refused
com.example.Metrics
